"""What is known of a text before it is judged and after."""

from collections.abc import Sequence
from typing import NamedTuple

from tapeline.redaction.key_words import NameFinding
from tapeline.redaction.value_matcher import Asked

__all__ = ["Hit", "Judged", "KeyFacts", "Said"]


class Hit(NamedTuple):
    """A piece of a text that is a secret: the characters from `start` up to `end`.

    `quote` is put around the mask: it keeps JSON valid where a bare number or list is replaced.
    """

    start: int
    end: int
    rule: str
    quote: str = ""


class Said:
    """What a scan says of a text that stands under one name."""

    __slots__ = ("blobs", "is_encoded", "names", "rules")

    def __init__(
        self,
        rules: Sequence[Asked],
        names: Sequence[int],
        blobs: Sequence[int],
        *,
        is_encoded: bool,
    ) -> None:
        """Take all value rules that may find something in the text, in order.

        `names` are where in it names may end that mean a secret, `blobs` where base64 or
        hexadecimal of a text may begin. `is_encoded`: it may hold escapes, or characters that read
        as others.
        """
        self.rules = rules
        self.names = names
        self.blobs = blobs
        self.is_encoded = is_encoded


class Judged:
    """The secrets of a text, and what is known of the rest of it by now."""

    __slots__ = ("hits", "is_settled", "silent")

    def __init__(self, hits: Sequence[Hit], silent: Sequence[int], *, is_settled: bool) -> None:
        """Take the secrets, and the value rules that match nowhere, whatever their filters say.

        `is_settled`: each name in the text that means a secret is that of a value that is a hit.
        """
        self.hits = hits
        self.silent = silent
        self.is_settled = is_settled


class KeyFacts:
    """What a name means for the texts that stand under it."""

    __slots__ = ("context", "finding", "key")

    def __init__(self, key: str, finding: NameFinding | None, context: str) -> None:
        """Take the name, what it calls for, and the name in ASCII: rules look for words in it."""
        self.key = key
        self.finding = finding
        self.context = context
