"""Whether two engines hold the same: one that was kept, and one that was made of its events again.

Everything that outlives a restart is compared, exactly. Pure.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from tapeline.signals.codec import CodecError, decode_events
from tapeline.signals.engine import Engine
from tapeline.signals.engine_state import dump_engine
from tapeline.signals.points import Attributes

__all__ = ["Difference", "differences"]

_CORE: Final = ("quantity", "cost", "realised", "fees", "fees at price", "last price")
_MAX_TEXT: Final = 120


class Difference(NamedTuple):
    """One figure that is not the same: what is kept, and what the events make."""

    place: str
    kept: str
    replayed: str


def differences(kept: Engine, replayed: Engine) -> Iterator[Difference]:
    """Yield what two engines don't have in common: figures first, then the rest of the state."""
    for name, facts in _areas(kept).items():
        others = _areas(replayed)[name]
        for place in sorted(facts.keys() | others.keys()):
            one, other = facts.get(place, "nothing"), others.get(place, "nothing")
            if one != other:
                yield Difference(f"{name} {place}", _short(one), _short(other))
    yield from _unequal("state", _rest(kept), _rest(replayed))


def _rest(engine: Engine) -> dict[str, Any]:
    state = dump_engine(engine)
    del state["series"]  # They stand above by name.
    # How often a rate was missing is counted at emissions, too, which are no events.
    state["market"] = {**state["market"], "missing_rates": 0}
    return state


def _areas(engine: Engine) -> dict[str, dict[str, Any]]:
    """Return figures by area and place."""
    views = (("position", engine.live.ledger), ("sampled position", engine.sampled.ledger))
    areas: dict[str, dict[str, Any]] = {
        name: {
            f"{' / '.join(key)} {field}": value
            for key, position in ledger.positions.items()
            for field, value in zip(_CORE, position.state, strict=True)
        }
        for name, ledger in views
    }
    areas["gauge"] = {_spelt(each.name, each.attributes): each.value for each in engine.gauges()}
    areas["sum"] = {
        _spelt(name, key): each.total
        for name, of_metric in engine.series.sums.items()
        for key, each in of_metric.items()
    }
    areas["histogram"] = {
        _spelt(name, key): (each.total, tuple(each.counts))
        for name, of_metric in engine.series.histograms.items()
        for key, each in of_metric.items()
    }
    return areas


def _spelt(name: str, attributes: Attributes) -> str:
    told = ", ".join(f"{key.removeprefix('trading.')}={value}" for key, value in attributes)
    return f"{name}{{{told}}}"


def _unequal(place: str, kept: Any, replayed: Any) -> Iterator[Difference]:
    """Walk down to what is unequal; a list that is told apart by its items has no order."""
    if isinstance(kept, Mapping) and isinstance(replayed, Mapping):
        for key in sorted(kept.keys() | replayed.keys(), key=repr):
            yield from _unequal(f"{place}.{key}", kept.get(key), replayed.get(key))
        return
    one, other = _listed(kept), _listed(replayed)
    if one is None or other is None:
        if kept != replayed:
            yield Difference(place, _short(kept), _short(replayed))
        return
    before, after = Counter(map(repr, one)), Counter(map(repr, other))
    for item in sorted((before - after).elements()):
        yield Difference(place, _short(item), "nothing")
    for item in sorted((after - before).elements()):
        yield Difference(place, "nothing", _short(item))


def _listed(value: Any) -> list[Any] | None:
    if isinstance(value, bytes):
        try:
            return list(decode_events(value))
        except CodecError:
            return None
    return list(value) if isinstance(value, list | tuple) else None


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else f"{value}"
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
