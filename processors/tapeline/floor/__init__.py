"""Four trading systems simulated as real processes, to prove rules, dashboards and retention on."""
