"""The `record` section: what passes the gate is written to files as well."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tapeline.otlp.signals import Signal
from tapeline.pipeline.durations import Duration
from tapeline.recorded.forms import Compression, Format

__all__ = ["RAW_ACKNOWLEDGEMENT", "RecordConfig"]

RAW_ACKNOWLEDGEMENT = "recordings hold secrets"
"""What has to stand there, word by word, before anything raw is written."""

_MIB = 1024 * 1024
MAX_SERVICES = 1000


class RecordConfig(BaseModel):
    """Recordings of what the gate acknowledged. A full queue or disk costs the recording alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Made with mode 0700 where absent. null: nothing is recorded.
    folder: Path | None = None
    # json (OTLP/JSON lines) or proto, as the collector's file exporter writes them.
    format: Format = Format.PROTO
    # none, or zstd: each message by itself.
    compression: Compression = Compression.ZSTD
    # MiB of a file, from which on the next one is begun.
    max_file_mib: int = Field(default=256, ge=1, le=1024 * 1024)
    # After so long too. 0: for its size alone.
    max_file_age: Duration = Field(default=3600.0, ge=0)
    # Files of each worker; the oldest go. 0: none ever goes, so the disk fills.
    max_files: int = Field(default=24, ge=0, le=1_000_000)
    # MiB that may wait to be written; what comes beyond is not recorded, and counted.
    max_waiting_mib: int = Field(default=64, ge=1, le=4096)
    # Which signals. Empty: all.
    signals: tuple[Signal, ...] = ()
    # Which values of service.name. Empty: all.
    services: tuple[str, ...] = Field(default=(), max_length=MAX_SERVICES)
    # true: what came in, before the chain and its redaction; files have mode 0600.
    raw: bool = False
    # Must say `recordings hold secrets` where raw is true.
    raw_acknowledged: Literal["recordings hold secrets"] | None = None

    @model_validator(mode="after")
    def _raw_is_meant(self) -> Self:
        if self.raw and self.raw_acknowledged is None:
            raise ValueError(
                f"raw writes secrets to disk; if that is meant, set raw_acknowledged:"
                f" {RAW_ACKNOWLEDGEMENT}"
            )
        return self

    @property
    def max_file_bytes(self) -> int:
        """`max_file_mib` in bytes."""
        return self.max_file_mib * _MIB

    @property
    def max_waiting_bytes(self) -> int:
        """`max_waiting_mib` in bytes."""
        return self.max_waiting_mib * _MIB

    def records(self, signal: Signal) -> bool:
        """Tell whether a signal is recorded."""
        return self.folder is not None and (not self.signals or signal in self.signals)
