"""Signals: positions, P&L, slippage and risk, from the telemetry itself."""
