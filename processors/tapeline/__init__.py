"""Tapeline: Python processors behind a stock OpenTelemetry Collector, for trading systems."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("tapeline")
