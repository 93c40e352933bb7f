"""What the processors counted: their own metrics, as the gate would show them under /metrics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from prometheus_client import CollectorRegistry

__all__ = ["Audit", "Counted", "audit_of"]

_SUFFIXES: Final[Mapping[str, Sequence[str]]] = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("", "_count", "_sum"),
    "info": ("_info",),
}
"""What a metric's numbers are called behind its name, by its type: Prometheus' text format."""
_MAX_NEAREST: Final = 5


@dataclass(frozen=True, slots=True)
class Counted:
    """One number: the metric's name, its labels, and what it stands at."""

    name: str
    labels: Mapping[str, str]
    value: float

    @property
    def text(self) -> str:
        """The name with its labels, as Prometheus writes it."""
        labels = ",".join(f'{key}="{value}"' for key, value in sorted(self.labels.items()))
        return f"{self.name}{{{labels}}}" if labels else self.name


@dataclass(frozen=True, slots=True)
class Audit:
    """All the numbers of a session, at its end.

    `names` are those that the chain's metrics have, also where nothing was counted yet.
    """

    counted: Sequence[Counted]
    names: Sequence[str]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric, over the labels that are not given; 0 where it has none.

        Raises KeyError for a metric that no processor of the chain has.
        """
        if name not in self.names:
            raise KeyError(f"no metric {name!r} in this chain; {self._nearest(name)}")
        return sum(
            (
                one.value
                for one in self.counted
                if one.name == name and labels.items() <= one.labels.items()
            ),
            0.0,
        )

    def matching(self, pattern: str) -> list[Counted]:
        """Return what is not zero of the metrics whose name fits a pattern (`tapeline_*_total`)."""
        return [one for one in self.counted if one.value and fnmatchcase(one.name, pattern)]

    def _nearest(self, name: str) -> str:
        if not self.names:
            return "there are none"
        holding = [known for known in self.names if name in known]
        near = holding or get_close_matches(name, self.names, _MAX_NEAREST, cutoff=0)
        return f"the nearest are {', '.join(near[:_MAX_NEAREST])}"


def audit_of(registry: CollectorRegistry) -> Audit:
    """Read a registry. Creation times are left out: they are those of the test's run."""
    metrics = list(registry.collect())
    counted = [
        Counted(sample.name, dict(sample.labels), sample.value)
        for metric in metrics
        for sample in metric.samples
        if not sample.name.endswith("_created")
    ]
    # One with labels has no sample before something was counted.
    names = {name for metric in metrics for name in _names_of(metric.name, metric.type)}
    names.update(one.name for one in counted)
    return Audit(sorted(counted, key=lambda one: one.text), sorted(names))


def _names_of(family: str, kind: str) -> Iterable[str]:
    return (family + suffix for suffix in _SUFFIXES.get(kind, ("",)))
