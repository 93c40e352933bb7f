"""Pieces of the page: tables, numbers with all their digits at hand, and data of charts. Pure."""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from tapeline.pipeline.markup import Markup, element, joined, visible
from tapeline.signals.number_text import NOTHING, money, price, quantity

__all__ = [
    "Cell",
    "amount",
    "chart",
    "columns",
    "count_of",
    "facts",
    "name_of",
    "number",
    "of_price",
    "of_quantity",
    "rest_of",
    "signed",
    "table",
]

Cell = str
"""Markup, or a text that is escaped."""

_LEFT: Final = "<"


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Markup:
    """Return a table; columns whose head begins with `<` hold texts, the others numbers."""
    is_text = [head.startswith(_LEFT) for head in heads]

    def cells(kind: str, row: Iterable[Cell]) -> Markup:
        return element(
            "tr",
            *(
                element(kind, cell, class_=False if plain else "number")
                for cell, plain in zip(row, is_text, strict=True)
            ),
        )

    whole = element(
        "table",
        element("thead", cells("th", (head.removeprefix(_LEFT) for head in heads))),
        element("tbody", *(cells("td", row) for row in rows)),
    )
    return element("div", whole, class_="wide")


def facts(items: Iterable[tuple[str, Cell]]) -> Markup:
    """Return names and values beside each other."""
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in items),
    )


def name_of(text: str) -> Cell:
    """Return a name from outside; it may be anything."""
    return visible(text) if text else element("span", "none", class_="soft")


def number(shown: str, exact: str | None = None, class_: str = "") -> Markup:
    """Return a number; what was rounded away is told by its title."""
    title = exact if exact is not None and exact != shown else False
    return element("span", shown, title=title, class_=class_ or False)


def amount(value: str | None, places: int) -> Markup:
    """Return an amount of money; one that is unknown says so."""
    if value is None:
        return element("span", NOTHING, title="an input is missing", class_="soft")
    return number(money(value, places), value)


def signed(value: str | None, places: int) -> Markup:
    """Return an amount that is good above 0 and bad below."""
    if value is None:
        return amount(None, places)
    found = Decimal(value)
    return number(money(value, places), value, "good" if found > 0 else "bad" if found < 0 else "")


def of_price(value: str | None) -> Markup:
    """Return a price."""
    return number(price(value), value)


def of_quantity(value: str) -> Markup:
    """Return a quantity."""
    return number(quantity(value), value)


def count_of(count: int) -> str:
    """Return a count."""
    return f"{count:,}"


def rest_of(count: int, what: str) -> Markup:
    """Say how many rows were left out."""
    if count == 0:
        return Markup()
    return element("p", f"And {count:,} more {what}; tapeline signals show has all.", class_="soft")


def chart(key: str, title: str, data: dict[str, Any]) -> Markup:
    """Return a place that the page's script draws in; it shows nothing without one."""
    spelt = json.dumps({"key": key, "title": visible(title), **data})
    return element("div", class_="chart", data_chart=spelt)


def columns(*parts: Markup) -> Markup:
    """Return parts beside each other, where there is room."""
    return element("div", joined(*parts), class_="charts")
