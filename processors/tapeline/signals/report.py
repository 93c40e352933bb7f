"""What an engine shows of itself beside its metrics: for the page and for `tapeline signals`. Pure.

Plain data, numbers as texts, so that nothing is rounded on the way.
"""

from decimal import Decimal
from typing import Any

from tapeline.signals.engine import Engine

__all__ = ["overview_of"]


def overview_of(engine: Engine) -> dict[str, Any]:
    """Return positions and accounts as they are now."""
    figures, now_ns = engine.figures, engine.present_ns
    views = list(figures.positions(now_ns))
    return {
        "watermark_ns": engine.watermark_ns,
        "present_ns": now_ns,
        "positions": [
            {
                "account": view.key[0],
                "strategy": view.key[1],
                "instrument": view.key[2],
                "currency": view.currency,
                "quantity": str(view.state.quantity),
                "average_price": _text(view.average_price),
                "value": _text(view.figures.value),
                "realized": str(view.state.realised),
                "unrealized": _text(view.figures.unrealised),
                "price_source": view.figures.source and view.figures.source.value,
                "net": _text(view.figures.base_net_pnl),
                "fees": {name or view.currency: str(fee) for name, fee in view.state.fees},
            }
            for view in sorted(views, key=lambda view: view.key)
        ],
        "accounts": [
            {
                "account": each.account,
                "currency": each.base_currency,
                "equity": _text(each.portfolio.equity),
                "net_pnl": _text(each.portfolio.net_pnl),
                "gross": _text(each.portfolio.gross),
                "net": _text(each.portfolio.net),
                "leverage": _text(each.portfolio.leverage),
                "open_positions": each.portfolio.open_positions,
            }
            for each in sorted(figures.accounts(views, now_ns), key=lambda each: each.account)
        ],
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
