"""Grafana's dashboards as code.

`python -m dashboards` writes config/grafana/dashboards/ and what provisions it;
`python -m dashboards.check` runs every panel's query against real servers. Development only:
nothing of this is in the wheel.
"""
