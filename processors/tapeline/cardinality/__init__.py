"""Cardinality: no label can flood Prometheus or Loki, and the sums stay right."""
