"""The labelled vectors of gitleaks' own rule tests, as log bodies and as attribute values."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from redaction_pack import default_judge

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "redaction" / "gitleaks_vectors.jsonl"
TOUCHED = Path(__file__).parent / "touched_negatives.md"
MIN_FOUND = 0.99
MAX_TOUCHED = 0.08

# Masks, and addresses: their paths look like secrets, and are none.
_APART = re.compile(r"\[REDACTED:[a-z0-9-]+\]|https?:[\w/.:@\\%-]+")
_RUN = re.compile(r"[A-Za-z0-9+/_~\-]{16,}")
MIN_DIGITS = 3
MIN_DISTINCT = 10


@pytest.fixture(scope="module", name="vectors")
def _vectors() -> list[dict[str, Any]]:
    if not VECTORS.exists():
        pytest.skip("the gitleaks vectors are third-party data and not in this clone")
    return [json.loads(line) for line in VECTORS.read_text().splitlines()]


def _kept(text: str, redacted: str) -> bool:
    """Say whether nothing was found, or a run is left that looks as a secret does."""
    left = [
        run
        for run in _RUN.findall(_APART.sub(" ", redacted))
        if sum(map(str.isdigit, run)) >= MIN_DIGITS and len(set(run)) >= MIN_DISTINCT
    ]
    return redacted == text or bool(left)


@pytest.mark.parametrize("key", [None, "message"])
def test_labelled_secrets_are_gone(vectors: list[dict[str, Any]], key: str | None) -> None:
    """At least 99 % of the vectors that are labelled true lose their secret."""
    secrets = [vector for vector in vectors if vector["expect"]]
    missed = Counter(
        vector["rule"]
        for vector in secrets
        if _kept(vector["secret_text"], default_judge().redact(vector["secret_text"], key))
    )
    assert len(secrets) > 1000
    assert missed.total() <= (1 - MIN_FOUND) * len(secrets), missed


@pytest.mark.parametrize("key", [None, "message"])
def test_touched_negatives_are_few_and_listed(
    vectors: list[dict[str, Any]], key: str | None
) -> None:
    """At most 8 % of those labelled false are touched, and each of them is in the table."""
    listed = {
        (rule, int(place))
        for rule, places in re.findall(
            r"^\| ([a-z0-9-]+) \| ([0-9 ]+) \|", TOUCHED.read_text(), re.MULTILINE
        )
        for place in places.split()
    }
    negatives = [(place, vector) for place, vector in enumerate(vectors) if not vector["expect"]]
    touched = {
        (vector["rule"], place)
        for place, vector in negatives
        if default_judge().redact(vector["secret_text"], key) != vector["secret_text"]
    }
    assert touched == listed
    assert len(touched) <= MAX_TOUCHED * len(negatives)
