"""Variables and words that several of Tapeline's own boards share."""

from typing import Final

from dashboards.links import logs_link
from dashboards.model import Link, Variable

__all__ = [
    "ACCOUNT",
    "INSTRUMENT",
    "STATES",
    "STRATEGY",
    "SYSTEM",
    "TRADED",
    "UP_COLOURS",
    "runbooks",
    "service_logs",
]

TRADED: Final = (
    'job="tapeline-signals",trading_account=~"$account",trading_instrument=~"$instrument"'
)
"""Picks the convention's metrics, of which some have names of a system's own, too."""

ACCOUNT: Final = Variable(
    "account",
    "Account",
    "prometheus",
    'label_values(trading_orders_total{job="tapeline-signals"}, trading_account)',
)
INSTRUMENT: Final = Variable(
    "instrument",
    "Instrument",
    "prometheus",
    'label_values(trading_orders_total{job="tapeline-signals",trading_account=~"$account"}, '
    "trading_instrument)",
)
STRATEGY: Final = Variable(
    "strategy",
    "Strategy",
    "prometheus",
    'label_values(trading_orders_total{job="tapeline-signals",trading_account=~"$account"}, '
    "trading_strategy)",
)
SYSTEM: Final = Variable(
    "system", "System", "custom", "veloz, py_rt, b25, ktrdr, tapeline, host", all_value=".+"
)

STATES: Final = {"0": ("DOWN", "red"), "1": ("UP", "green")}
UP_COLOURS: Final = ((None, "red"), (1.0, "green"))


def runbooks() -> Variable:
    """Return the variable that holds where the runbooks are read, as an address without `/`."""
    return Variable(
        "runbooks",
        "Runbooks at",
        "textbox",
        "",
        multi=False,
        current="http://127.0.0.1:8092/runbooks",
    )


def service_logs(service: str) -> Link:
    """Lead to the logs of the service that a line's label or a variable names."""
    return logs_link("Logs at this time", f'{{service_name=~"{service}"}}')
