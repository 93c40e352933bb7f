"""What trading systems let slip into telemetry, and what only looks like it."""

import random

import pytest

from redaction_pack import default_judge
from redaction_shapes import BENIGN, SHAPES

SAMPLES_PER_SHAPE = 40


def test_there_are_as_many_shapes_as_the_figures_speak_of() -> None:
    """Figures over a handful of shapes would say little."""
    assert len(SHAPES) >= 50
    assert len(BENIGN) >= 50


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_loses_its_secret(shape: str) -> None:
    """None of the samples of a shape keeps its secret, nor a long piece of it."""
    rng = random.Random(shape)  # noqa: S311 - test data
    for _ in range(SAMPLES_PER_SHAPE):
        key, text, secret = SHAPES[shape](rng)
        assert secret in text
        redacted = default_judge().redact(text, key)
        assert secret not in redacted, redacted
        assert len(secret) < 20 or secret[:12] not in redacted, redacted


@pytest.mark.parametrize("field", BENIGN)
def test_an_identifier_stays_as_it_is(field: str) -> None:
    """No sample is touched: a mask in place of two ids would make one thing of two."""
    rng = random.Random(field)  # noqa: S311 - test data
    for _ in range(SAMPLES_PER_SHAPE):
        text = BENIGN[field](rng)
        assert default_judge().redact(text, "message") == text
        assert default_judge().redact(text) == text
