"""A processor's section of the configuration: its own settings, and the keys that all have."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Final, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from tapeline.kit.core import OnFailure

__all__ = ["Common", "section_model", "settings_from"]

MAX_SERIES: Final = 100_000


def _not_pass(policy: OnFailure) -> OnFailure:
    if policy is OnFailure.PASS:
        raise ValueError(
            "this processor protects: what it failed on may not pass; write refuse or drop"
        )
    return policy


class Common(BaseModel):
    """The keys that every processor of the kit has besides its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # What becomes of a record on which the function fails. refuse: the whole request is refused,
    # and the sender sends it again. drop: the record is left out. pass: it goes on as it came.
    on_failure: OnFailure = OnFailure.REFUSE
    # Series of derived metrics at most; further ones are left out and counted. 0: none.
    max_series: int = Field(default=1000, ge=0, le=MAX_SERIES)


class _Protecting(Common):
    on_failure: Annotated[OnFailure, AfterValidator(_not_pass)] = OnFailure.REFUSE


def section_model(name: str, settings: type[Any] | None, *, protects: bool) -> type[BaseModel]:
    """Return the model of a section; raises TypeError where settings and common keys collide."""
    common: type[Common] = _Protecting if protects else Common
    if settings is None:
        return create_model(f"{name}_section", __base__=common)
    own = _fields(settings)
    taken = sorted(set(own) & set(Common.model_fields))
    if taken:
        raise TypeError(
            f"{name}: the settings have a field {taken[0]!r}, but that key is common to all"
            " processors of the kit; give it another name"
        )
    if issubclass(settings, BaseModel):
        # The last base decides what becomes of unknown keys: they are mistakes.
        return create_model(f"{name}_section", __base__=(settings, common))
    return create_model(f"{name}_section", __base__=common, **own)


def settings_from(settings: type[Any], section: BaseModel) -> Any:
    """Return what a processor gets of its section: its own model, or dataclass."""
    if issubclass(settings, BaseModel):
        return section
    return settings(**{name: getattr(section, name) for name in _fields(settings)})


def _fields(settings: type[Any]) -> Mapping[str, Any]:
    if issubclass(settings, BaseModel):
        return dict(settings.model_fields)
    hints = get_type_hints(settings, include_extras=True)
    found = {}
    for each in dataclasses.fields(settings):
        default: Any = ...
        if each.default is not dataclasses.MISSING:
            default = each.default
        elif each.default_factory is not dataclasses.MISSING:
            default = Field(default_factory=each.default_factory)
        found[each.name] = (hints[each.name], default)
    return found
