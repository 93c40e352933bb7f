"""The `admin` section of the configuration."""

from pydantic import BaseModel, ConfigDict, field_validator

from tapeline.pipeline.addresses import Address, parse_address
from tapeline.tap.config import TapConfig

__all__ = ["AdminConfig"]


class AdminConfig(BaseModel):
    """Where health, metrics and the pages of processors are served."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # HOST:PORT over plain HTTP without authentication, so keep it on loopback or in a private
    # network. Port 0 takes a free port.
    listen: str = "127.0.0.1:8090"
    # A live view of what passes, on /tap, for who has a token. null: there is none.
    tap: TapConfig | None = None

    @field_validator("listen")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return str(parse_address(value))

    @property
    def address(self) -> Address:
        """`listen`, parsed."""
        return parse_address(self.listen)
