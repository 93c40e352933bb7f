r"""Shapes of trading telemetry, and look-alikes, written before the rules were looked at.

Each line of their files is a template: `«hex:32»` stands for a secret made up when needed,
`{hex:32}` for what may stay, `\n` and `\x01` for such characters. What stands before ` ~ ` is the
attribute's name; without it the text is a log body.
"""

import random
import re
from pathlib import Path
from typing import Final

from tapeline.redaction.samples import expand

__all__ = ["LOOK_ALIKES", "SHAPES", "made_up"]

_SECRET: Final = re.compile(r"«([A-Za-z0-9]+)(?::([0-9]+))?»")
_WORDS: Final = ("winter", "Falcon", "market", "Tokyo", "delta", "hunter", "orange", "Summer")

_FOLDER: Final = Path(__file__).parent / "redaction"


def _templates(file: str) -> tuple[str, ...]:
    return tuple((_FOLDER / file).read_text(encoding="utf-8").splitlines())


SHAPES: Final = _templates("held_out_shapes.txt")
LOOK_ALIKES: Final = _templates("held_out_look_alikes.txt")


def made_up(template: str, rng: random.Random) -> tuple[str | None, str, list[str]]:
    """Return a template's key, its text, and the secrets in it."""
    secrets: list[str] = []

    def secret(match: re.Match[str]) -> str:
        kind, length = match.groups()
        if kind == "human":
            made = f"{rng.choice(_WORDS)}{rng.choice('-_!')}{rng.choice(_WORDS)}{rng.randrange(99)}"
        elif kind == "uuid":
            made = expand("{uuid}", str(rng.random()))
        else:
            made = expand(f"{{{kind}:{length}}}", str(rng.random()))
        secrets.append(made)
        return made

    key, mark, text = template.rpartition(" ~ ")
    for written, meant in (("\\n", "\n"), ("\\r", "\r"), ("\\t", "\t")):
        text = text.replace(f"\\{written}", "\0").replace(written, meant).replace("\0", written)
    for written, meant in (("\\x01", "\x01"), ("\\x1b", "\x1b")):
        text = text.replace(written, meant)
    text = expand(text, str(rng.random()))
    return (key if mark else None), _SECRET.sub(secret, text), secrets
