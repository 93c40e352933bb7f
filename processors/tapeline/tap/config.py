"""The `admin.tap` section of the configuration."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["TapConfig"]


class TapConfig(BaseModel):
    """Who may look at what passes, and at how much of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # One token a line, of at least 16 characters; empty lines and lines that begin with # are
    # skipped. It is read at each request, so tokens change without a reload.
    token_file: Path

    # Records a second that each reader is shown at most; with several workers, each shows its part.
    max_records_per_s: int = Field(default=50, ge=1, le=1000)
