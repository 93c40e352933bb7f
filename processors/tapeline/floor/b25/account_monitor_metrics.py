"""The metrics of b25's account monitor."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from tapeline.floor.b25.http_metrics import HttpMetrics, make_http_metrics

__all__ = ["AccountMonitorMetrics", "make_metrics"]


@dataclass(frozen=True, slots=True)
class AccountMonitorMetrics:
    """The service's instruments."""

    http: HttpMetrics
    balance_usd: Gauge
    margin_ratio: Gauge
    realized_usd: Gauge
    unrealized_usd: Gauge
    position_size: Gauge
    exchange_position_size: Gauge
    position_limit: Gauge
    entry_price: Gauge
    strategy_pnl_usd: Gauge
    fees_usd: Gauge
    sharpe_ratio: Gauge
    max_drawdown_pct: Gauge
    winning_trades: Counter
    trades: Gauge
    maker_orders: Counter
    orders: Gauge


def make_metrics(registry: CollectorRegistry) -> AccountMonitorMetrics:
    """Return the instruments, registered."""

    def gauge(name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"account_monitor_{name}", what, labels, registry=registry)

    def counter(name: str, what: str, *labels: str) -> Counter:
        return Counter(f"account_monitor_{name}_total", what, labels, registry=registry)

    book = ("exchange", "symbol")
    return AccountMonitorMetrics(
        http=make_http_metrics(registry),
        balance_usd=gauge("balance_usd", "Free balance on an exchange.", "exchange"),
        margin_ratio=gauge("margin_ratio", "Margin in use, of the balance: 0 to 1.", "exchange"),
        realized_usd=gauge("realized_pnl_usd", "Realized profit or loss; it can fall.", *book),
        unrealized_usd=gauge("unrealized_pnl_usd", "Open positions at the current price.", *book),
        position_size=gauge("position_size", "Position by b25's own fills; short below 0.", *book),
        exchange_position_size=gauge(
            "exchange_position_size", "Position as the exchange reports it.", *book
        ),
        position_limit=gauge("position_limit", "Largest position allowed, either way.", *book),
        entry_price=gauge("position_entry_price", "Average price of the open position.", *book),
        strategy_pnl_usd=gauge(
            "strategy_pnl_usd", "Realized profit or loss of a strategy.", "strategy_id"
        ),
        fees_usd=gauge("fees_paid_usd", "Fees paid; a rebate makes it fall.", "type"),
        sharpe_ratio=gauge("sharpe_ratio", "Mean by deviation of the latest returns."),
        max_drawdown_pct=gauge(
            "max_drawdown_pct", "Largest fall from a peak within the last minute, in percent."
        ),
        winning_trades=counter("winning_trades", "Trades with a profit.", "strategy_id"),
        # Of a counter the collector's exporter drops every `total` but the last; not of a gauge.
        trades=gauge("total_trades_total", "Trades.", "strategy_id"),
        maker_orders=counter("maker_orders", "Filled orders that made liquidity."),
        orders=gauge("total_orders_total", "Filled orders."),
    )
