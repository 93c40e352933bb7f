"""Two services that trade with each other, with the telemetry that real ones would send."""
