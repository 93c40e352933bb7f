"""Alerts as code: SLOs, the rules made of them, and what checks and reports them."""
