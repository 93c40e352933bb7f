"""The corpus is whole: each recording has metadata that fits, goldens, its line, and its maker."""

import re
from pathlib import Path

import pytest
import yaml
import zstandard

from corpus.generate import ZSTD_VERSION, generated, metadata_of, opened
from corpus.hostile import FAKE_SECRETS as HOSTILE_SECRETS
from corpus.listing import ENTRIES, FOLDER, Entry
from corpus.systems import FAKE_SECRETS as SYSTEMS_SECRETS
from tapeline.demo.credentials import planted_credentials
from tapeline.recorded.forms import Compression, Format
from tapeline.recorded.metadata import METADATA_SUFFIX, read_metadata

HERE = Path(__file__).parent
README = HERE / "README.md"
GOLDENS = HERE / "goldens" / "test_corpus"
MAX_BYTES = 200_000
ROW = re.compile(r"^\| `([^`]+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
MADE_UP = {*HOSTILE_SECRETS, *SYSTEMS_SECRETS}


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    """Return the recordings as they are made now."""
    return generated()


def test_the_recordings_are_made_by_what_is_committed(made: dict[str, bytes]) -> None:
    """Byte for byte; under another version of zstd, message for message."""
    kept = {name: (FOLDER / name).read_bytes() for name in made}
    if zstandard.ZSTD_VERSION == ZSTD_VERSION:
        different = [name for name, content in made.items() if kept[name] != content]
    else:
        different = [name for name in made if opened(kept[name]) != opened(made[name])]

    assert not different, (
        "what makes these recordings makes them otherwise now. An old recording stays as it is:"
        " give the changed one a name of its own; or, where it never was in a release,"
        " `scripts/corpus --write`, and what README.md says of decisions"
    )


def test_no_recording_comes_from_nowhere(made: dict[str, bytes]) -> None:
    """Each file of the folder is made by the generator and listed, and has its metadata."""
    files = {path.name for path in FOLDER.iterdir()}

    assert files == {*made, *(f"{name}{METADATA_SUFFIX}" for name in made)}
    assert {entry.name for entry in ENTRIES if entry.path.parent == FOLDER} == set(made)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_metadata_fits_the_recording(entry: Entry) -> None:
    """Checksum, size, counts and times are of the file; it is small."""
    content = entry.path.read_bytes()
    metadata = read_metadata(entry.path)

    assert metadata is not None
    assert metadata == metadata_of(entry, content, metadata.policy, metadata.tapeline)
    assert metadata.policy.raw is entry.raw
    assert bool(metadata.policy.rules) is not entry.raw
    assert len(content) < MAX_BYTES


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_recording_has_goldens(entry: Entry) -> None:
    """One of what of it can be read, and one a configuration; each says something."""
    reading = yaml.safe_load((GOLDENS / f"{entry.name}.reading.yaml").read_text(encoding="utf-8"))

    assert reading["exit_code"] in {0, 1}
    assert entry.runs
    for run in entry.runs:
        assert (GOLDENS / f"{entry.golden}.{run}.yaml").exists()


def test_no_golden_is_of_nothing() -> None:
    """A golden that no recording has is obsolete."""
    known = {f"{entry.name}.reading.yaml" for entry in ENTRIES}
    known |= {f"{entry.golden}.{run}.yaml" for entry in ENTRIES for run in entry.runs}

    assert {path.name for path in GOLDENS.iterdir()} == known


def test_the_readme_has_a_line_for_every_recording() -> None:
    """What it is, where it comes from, and under which licence; no line is of what is gone."""
    rows = ROW.findall(README.read_text(encoding="utf-8"))
    told = [name for name, *_ in rows]

    assert sorted(told) == sorted(entry.name for entry in ENTRIES)
    for name, _, origin, licence in rows:
        path = next(entry.path for entry in ENTRIES if entry.name == name)
        maker = "by hand" if path.parent != FOLDER else "generated"
        assert maker in origin, name
        assert licence == "ours, Apache-2.0", name


def test_no_secret_can_be_read_in_a_recording_or_golden() -> None:
    """Only those that are evidently made up; the demo's are compressed with all around them."""
    files = [*FOLDER.iterdir(), *GOLDENS.iterdir()]
    planted = [
        secret.encode() for entry in ENTRIES for secret in entry.secrets if secret not in MADE_UP
    ]

    assert set(planted) == {secret.encode() for secret in planted_credentials(2298)}
    for path in files:
        content = path.read_bytes()
        assert not [secret for secret in planted if secret in content], path.name


def test_every_form_is_there() -> None:
    """JSON and protobuf, plain, compressed by messages, and as a stream; broken in each format."""
    forms = set()
    for entry in ENTRIES:
        metadata = read_metadata(entry.path)
        assert metadata is not None
        forms.add((metadata.format, metadata.compression, entry.name.endswith(".zst")))

    assert forms == {
        *((form, compression, False) for form in Format for compression in Compression),
        *((form, Compression.NONE, True) for form in Format),
    }
