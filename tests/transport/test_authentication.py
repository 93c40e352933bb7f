"""The verdict on a call: its token, and the names of its certificate."""

import pytest

from tapeline.pipeline.token_files import bearer_header
from tapeline.transport.authentication import Tokens, Verdict, names_of_peer


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
