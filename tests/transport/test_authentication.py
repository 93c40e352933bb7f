"""Tokens from files, and the verdict on a call."""

from pathlib import Path

import pytest

from tapeline.transport.authentication import (
    MAX_TOKENS,
    TokenFileError,
    Tokens,
    Verdict,
    bearer_header,
    names_of_peer,
    read_tokens,
)


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


@pytest.mark.parametrize(
    ("metadata", "verdict"),
    [
        ([bearer_header("one")], Verdict.ALLOWED),
        ([("x", "y"), bearer_header("two")], Verdict.ALLOWED),
        ([("authorization", "bearer two")], Verdict.ALLOWED),
        ([bearer_header("three")], Verdict.WRONG_TOKEN),
        ([bearer_header("on")], Verdict.WRONG_TOKEN),
        ([bearer_header("")], Verdict.WRONG_TOKEN),
        ([("authorization", "Basic b25l")], Verdict.MISSING_TOKEN),
        ([("authorization", "one")], Verdict.MISSING_TOKEN),
        ([("authorization-bin", b"Bearer one")], Verdict.MISSING_TOKEN),
        ([], Verdict.MISSING_TOKEN),
    ],
)
def test_a_call_is_judged_by_its_authorization_header(
    metadata: list[tuple[str, str | bytes]], verdict: Verdict
) -> None:
    """Every token of the file is good, so that tokens can be rotated."""
    assert Tokens(["one", "two"]).check(metadata) is verdict


def test_a_peer_has_its_common_and_alternative_names() -> None:
    """Other properties of the connection are no names."""
    context = {
        "x509_common_name": [b"collector"],
        "x509_subject_alternative_name": [b"a.example", b"b.example"],
        "transport_security_type": [b"ssl"],
    }

    assert names_of_peer(context) == {"collector", "a.example", "b.example"}
    assert names_of_peer({}) == frozenset()
