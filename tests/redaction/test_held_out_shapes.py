"""Shapes of trading telemetry and look-alikes that were written before the rules were looked at."""

import json
import random
import urllib.parse
from collections.abc import Callable

import pytest

from redaction_held_out import LOOK_ALIKES, SHAPES, made_up
from redaction_pack import default_judge

SAMPLES_PER_SHAPE = 20
SAMPLES_PER_LOOK_ALIKE = 200
PIECE_LENGTH = 8


def _left(secret: str, redacted: str) -> bool:
    """Say whether a secret, or eight characters of it, can still be read."""
    pieces = range(max(1, len(secret) - PIECE_LENGTH + 1))
    return any(secret[at : at + PIECE_LENGTH] in redacted for at in pieces)


def test_there_are_as_many_as_the_figures_speak_of() -> None:
    """Figures over a handful of shapes would say little."""
    assert len(SHAPES) >= 100
    assert len(LOOK_ALIKES) >= 60


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_loses_its_secrets(shape: str) -> None:
    """No secret of a sample is left, nor eight characters of one."""
    rng = random.Random(shape)  # noqa: S311 - test data
    for _ in range(SAMPLES_PER_SHAPE):
        key, text, secrets = made_up(shape, rng)
        redacted = default_judge().redact(text, key)
        assert secrets
        assert not [secret for secret in secrets if _left(secret, redacted)], redacted


@pytest.mark.parametrize(
    "encoded",
    [json.dumps, lambda text: json.dumps(json.dumps({"msg": text})), urllib.parse.quote],
    ids=["json", "json in json", "url"],
)
@pytest.mark.parametrize("name", ["api_secret", "password", "X-API-Key", "access_token"])
def test_a_secret_is_found_through_what_a_logger_wraps_around_it(
    encoded: Callable[[str], str], name: str
) -> None:
    """The same line as a string of JSON, twice so, or in a URL."""
    rng = random.Random(name)  # noqa: S311 - test data
    for quoted in (f'{{"{name}": "«alnum:32»"}}', f"{name}=«alnum:32»", f"{name}: «hex:40»"):
        _, text, (secret,) = made_up(quoted, rng)
        assert not _left(secret, default_judge().redact(encoded(text)))


@pytest.mark.parametrize("look_alike", LOOK_ALIKES)
def test_a_look_alike_stays_as_it_is(look_alike: str) -> None:
    """No sample is touched: a mask in place of two ids would make one thing of two."""
    rng = random.Random(look_alike)  # noqa: S311 - test data
    for _ in range(SAMPLES_PER_LOOK_ALIKE):
        key, text, _ = made_up(look_alike, rng)
        assert default_judge().redact(text, key) == text
