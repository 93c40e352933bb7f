"""The files that the `signals` section names: instruments and mappings, read at the start."""

from pathlib import Path
from typing import NamedTuple

from tapeline.pipeline.loader import ConfigError, read_document, validate_document
from tapeline.signals.config import InstrumentConfig, InstrumentFile, SignalsConfig, engine_settings
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.mapping_config import MAX_MAPPINGS, MappingConfig, MappingFile
from tapeline.signals.mappings import EventMapping

__all__ = ["SignalsSettings", "read_instruments", "read_mappings", "settings_of"]


class SignalsSettings(NamedTuple):
    """What the section means, its files included."""

    engine: EngineSettings
    mappings: tuple[EventMapping, ...]


def settings_of(config: SignalsConfig) -> SignalsSettings:
    """Read the files; raises ConfigError with file and line of each thing that is wrong."""
    instruments = dict(config.instruments)
    if config.instruments_file is not None:
        listed = read_instruments(config.instruments_file)
        both = sorted(instruments.keys() & listed.keys())
        if both:
            where = config.instruments_file
            raise ConfigError([f"{where}: {both[0]!r} is in signals.instruments, too; keep one"])
        instruments |= listed
    mappings = _all_mappings(config)
    return SignalsSettings(
        engine_settings(config, instruments), tuple(mapping.compiled() for mapping in mappings)
    )


def read_instruments(path: Path) -> dict[str, InstrumentConfig]:
    """Return the instruments of a file; raises ConfigError."""
    return validate_document(read_document(path), InstrumentFile).instruments


def read_mappings(path: Path) -> tuple[MappingConfig, ...]:
    """Return the mappings of a file; raises ConfigError."""
    return validate_document(read_document(path), MappingFile).mappings


def _all_mappings(config: SignalsConfig) -> list[MappingConfig]:
    """Return the section's own mappings, then those of its files; names are unique over all."""
    places: dict[str, str] = {mapping.name: "signals.mappings" for mapping in config.mappings}
    mappings = list(config.mappings)
    for path in config.mapping_files:
        for mapping in read_mappings(path):
            if mapping.name in places:
                raise ConfigError(
                    [f"{path}: the mapping {mapping.name!r} is in {places[mapping.name]}, too"]
                )
            places[mapping.name] = str(path)
            mappings.append(mapping)
    if len(mappings) > MAX_MAPPINGS:
        raise ConfigError([f"signals has {len(mappings)} mappings; at most {MAX_MAPPINGS}"])
    return mappings
