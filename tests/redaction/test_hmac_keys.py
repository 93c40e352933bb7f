"""The key of the tokens is made once, whole, and for one pair of eyes."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tapeline.redaction.hmac_keys import key_from_file, key_made_once


def test_all_who_start_at_once_get_one_key(tmp_path: Path) -> None:
    """Whoever is first makes it; nobody sees half of it, and nothing else stays behind."""
    path = tmp_path / "state" / "hmac_key"

    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: key_made_once(path), range(64)))

    assert len(keys) == 1
    assert len(keys.pop()) >= 32
    assert [entry.name for entry in path.parent.iterdir()] == ["hmac_key"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_kept_key_is_read_and_not_made_anew(tmp_path: Path) -> None:
    """Tokens stay what they are over restarts; two places have two keys."""
    first = key_made_once(tmp_path / "one")

    assert key_made_once(tmp_path / "one") == first
    assert key_made_once(tmp_path / "two") != first


def test_what_is_no_key_is_not_overwritten(tmp_path: Path) -> None:
    """A file that somebody else left there is named, and left as it is."""
    path = tmp_path / "hmac_key"
    path.write_text("short", encoding="utf-8")

    with pytest.raises(ValueError, match=r"the key made at the first start: .*hmac_key must hold"):
        key_made_once(path)
    assert path.read_text(encoding="utf-8") == "short"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_final_newline_is_no_part_of_a_key(tmp_path: Path, ending: str) -> None:
    """However the file was written."""
    path = tmp_path / "key"
    path.write_bytes(b"k" * 40 + ending.encode())

    assert key_from_file(path) == b"k" * 40
