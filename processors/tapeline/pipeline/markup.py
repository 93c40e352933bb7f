"""HTML made of elements, in which no text from outside can become anything but text. Pure."""

import html
from typing import Final

__all__ = ["Markup", "element", "joined", "visible"]

_VOID: Final = frozenset({"br", "hr", "input", "link", "meta"})


class Markup(str):
    """HTML that is right as it stands. Only `element` and `joined` make it."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | bool) -> Markup:
    """Return an element. Children that are no Markup, and all attributes, are escaped.

    An attribute that is False is left out, and True has no value. A trailing underscore of its
    name goes, and other underscores become hyphens: `class_`, `aria_label`.
    """
    opening = name + "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not False
    )
    if name in _VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{joined(*children)}</{name}>")


def joined(*parts: str) -> Markup:
    """Return the parts one after the other, escaped where they are no Markup."""
    return Markup(
        "".join(part if isinstance(part, Markup) else html.escape(part) for part in parts)
    )


def visible(text: str) -> str:
    """Return a text with what can't be seen, or turns what follows it around, spelt out."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def _attribute(name: str, value: str | bool) -> str:  # noqa: FBT001 - as HTML has it
    spelt = name.removesuffix("_").replace("_", "-")
    return f" {spelt}" if value is True else f' {spelt}="{html.escape(str(value))}"'
