"""The registry: what packages register, and how their mistakes are named."""

from importlib.metadata import EntryPoint

import pytest

from tapeline.pipeline.registry import (
    ENTRY_POINT_GROUP,
    ProcessorFactory,
    RegistryError,
    discover,
    load_factory,
)


def _point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=ENTRY_POINT_GROUP)


def test_the_built_in_redaction_is_registered_like_any_other() -> None:
    """The package uses its own mechanism."""
    factory = load_factory(discover()["redaction"])

    assert isinstance(factory, ProcessorFactory)
    assert factory.name == "redaction"


def test_nothing_is_imported_until_it_is_loaded() -> None:
    """A broken plugin that nobody uses does not stop the gate."""
    assert set(discover([_point("broken", "no.such.module:X")])) == {"broken"}


def test_two_packages_with_one_name_are_refused() -> None:
    """Which one would run must not depend on the order of installation."""
    with pytest.raises(RegistryError, match="two installed packages register"):
        discover([_point("a", "one:X"), _point("a", "two:X")])


@pytest.mark.parametrize(
    ("point", "message"),
    [
        (_point("broken", "no.such.module:X"), "does not import: No module named 'no'"),
        (_point("wrong", "tapeline.otlp.signals:Signal"), "must name a .*ProcessorFactory"),
        (_point("other", "tapeline.redaction.processor:FACTORY"), "calls itself 'redaction'"),
    ],
)
def test_a_wrong_registration_is_named(point: EntryPoint, message: str) -> None:
    """The error names the package's entry point and what is wrong with it."""
    with pytest.raises(RegistryError, match=message):
        load_factory(point)
