"""What the processors counted: their own metrics, as the gate would show them under /metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from prometheus_client import CollectorRegistry

__all__ = ["Audit", "Counted", "audit_of"]


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
    """All the numbers of a session, at its end."""

    counted: Sequence[Counted]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric, over the labels that are not given; 0 where it has none.

        Raises KeyError for a metric that no processor of the chain has.
        """
        of_name = [one for one in self.counted if one.name == name]
        if not of_name:
            known = ", ".join(sorted({one.name for one in self.counted})) or "none"
            raise KeyError(f"no metric {name!r} in this chain; there are {known}")
        return sum(one.value for one in of_name if labels.items() <= one.labels.items())

    def matching(self, pattern: str) -> list[Counted]:
        """Return what is not zero of the metrics whose name fits a pattern (`tapeline_*_total`)."""
        return [one for one in self.counted if one.value and fnmatchcase(one.name, pattern)]


def audit_of(registry: CollectorRegistry) -> Audit:
    """Read a registry. Creation times are left out: they are those of the test's run."""
    counted = [
        Counted(sample.name, dict(sample.labels), sample.value)
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    ]
    return Audit(sorted(counted, key=lambda one: one.text))
