"""The wire: OTLP bytes indexed, checked, spliced and translated without message objects."""
