"""What a check found: where, what it means for the data, and what to change."""

from dataclasses import asdict, dataclass
from enum import StrEnum

__all__ = ["Finding", "Severity"]


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Data is lost, leaks or loops."""
    WARNING = "warning"
    """Data may be lost under load or in an outage, or speed is given away."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `rule` is its stable name, `place` a file and line, or a hop."""

    rule: str
    severity: Severity
    place: str
    problem: str
    fix: str

    def as_line(self) -> str:
        """Return one line for a person."""
        return f"{self.place}: {self.severity}: {self.problem}; {self.fix} [{self.rule}]"

    def as_dict(self) -> dict[str, str]:
        """Return plain data for `--json`."""
        return {key: str(value) for key, value in asdict(self).items()}
