"""Tokens from files."""

from pathlib import Path

import pytest

from tapeline.pipeline.token_files import MAX_TOKENS, TokenFileError, read_tokens


def test_a_file_has_a_token_a_line(tmp_path: Path) -> None:
    """Comments and empty lines are skipped, blanks around a token too."""
    path = tmp_path / "tokens"
    path.write_text("# old, until Friday\nfirst\n\n  second \n", encoding="ascii")

    assert read_tokens(path) == ("first", "second")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "holds no token"),
        (b"# only a comment\n", "holds no token"),
        ("schlüssel".encode(), "is not ASCII"),
        (b"t\n" * (MAX_TOKENS + 1), "more than"),
        (b"t" * 100_000, "larger than"),
    ],
)
def test_a_bad_token_file_is_named_and_not_quoted(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    """The error is for a log; what is in the file is not."""
    path = tmp_path / "tokens"
    path.write_bytes(content)

    with pytest.raises(TokenFileError, match=complaint) as raised:
        read_tokens(path)

    assert str(path) in str(raised.value)
    assert "schl" not in str(raised.value)


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    """With the reason that the system gives."""
    with pytest.raises(TokenFileError, match=r"nowhere.*No such file"):
        read_tokens(tmp_path / "nowhere")
