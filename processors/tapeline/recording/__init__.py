"""Recorded telemetry: run it through a chain offline."""
