"""py_rt on the floor: market data, signal bridge, risk manager and execution engine."""
