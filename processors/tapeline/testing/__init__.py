"""Tests of processors and configurations on recorded telemetry: with pytest, and in YAML.

Nothing is imported here: every run of pytest where Tapeline is installed imports this package.
"""
