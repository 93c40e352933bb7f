"""Random trading that hangs together: orders with children, fills, corrections, quotes, cash.

The events of tests/signal_events.py contradict each other more often than not; these reach the
cases in which every figure has a value.
"""

from decimal import Decimal
from random import Random
from typing import Any, Final

from tapeline.signals.currencies import CurrencyPair
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.events import Cash, Event, Execution, Mark, Order, OrderState, Quote
from tapeline.signals.instruments import Account, Instrument, Instruments

SPAN: Final = 200
ORDERS: Final = 8
INSTRUMENTS: Final = {
    "X": Instrument(multiplier=Decimal("0.5"), base_currency="BTC", quote_currency="USD"),
    "Y": Instrument(is_inverse=True, multiplier=Decimal(10), settlement_currency="BTC"),
}
PAIRS: Final = (CurrencyPair("BTCUSD", "BTC", "USD"), CurrencyPair("BTCEUR", "BTC", "EUR"))
STATES: Final[tuple[OrderState, ...]] = (
    "submitted", "submitted", "acknowledged", "acknowledged", "replaced",
    "canceled", "rejected", "expired",
)  # fmt: skip


def settings(unit_ns: int, **changed: Any) -> EngineSettings:
    """Return settings for sessions of 200 units."""
    values: dict[str, Any] = {
        "instruments": Instruments(INSTRUMENTS),
        "accounts": {"a": Account("USD", Decimal(1000)), "b": Account("EUR")},
        "pairs": PAIRS,
        "max_lateness_ns": 20 * unit_ns,
        "max_quote_age_ns": 40 * unit_ns,
        "order_grace_ns": 10 * unit_ns,
        "horizons_ns": (7 * unit_ns, 15 * unit_ns),
        "revision_window_ns": 10_000 * unit_ns,
        "risk_period_ns": 25 * unit_ns,
        "periods_per_year": 252.0,
        "flat_series_ns": 60 * unit_ns,
    }
    return EngineSettings(**{**values, **changed})


def session(random: Random, count: int, unit_ns: int) -> list[Event]:
    """Return the events of a session of two accounts, out of order."""
    trading = _Session(random, unit_ns)
    for number in range(ORDERS):
        trading.decide(number)
    makers = [
        trading.quote, trading.quote, trading.mark, trading.cash, trading.order, trading.order,
        trading.trade, trading.trade, trading.trade, trading.revise,
    ]  # fmt: skip
    for _ in range(count):
        random.choice(makers)()
    random.shuffle(trading.events)
    return trading.events


class _Session:
    def __init__(self, random: Random, unit_ns: int) -> None:
        self.random = random
        self.unit_ns = unit_ns
        self.events: list[Event] = []
        self.executions: list[Execution] = []
        self.instruments = [random.choice("XXY") for _ in range(ORDERS)]
        self.accounts = [random.choice("aab") for _ in range(ORDERS)]
        self.sides: list[Any] = [random.choice([1, -1]) for _ in range(ORDERS)]
        self.parents = [random.choice(["", f"o{random.randrange(n)}" if n else ""])
                        for n in range(ORDERS)]  # fmt: skip
        for number, parent in enumerate(self.parents):
            if parent:
                self.instruments[number] = self.instruments[int(parent[1:])]
                self.accounts[number] = self.accounts[int(parent[1:])]
        self.few_marks = random.random() < 0.5

    def time(self, after: int = 8) -> int:
        return (1_000 + self.random.randrange(after, SPAN)) * self.unit_ns

    def price(self) -> Decimal:
        return Decimal(self.random.randrange(9_900, 10_100)) / 100

    def maybe(self, value: Any) -> Any:
        return self.random.choice([None, value])

    def decide(self, number: int) -> None:
        self.events.append(
            Order(
                (1_000 + number) * self.unit_ns,
                self.accounts[number],
                f"o{number}",
                "decided",
                self.instruments[number],
                self.random.choice(["", "v"]),
                self.parents[number],
                self.sides[number],
                self.maybe(Decimal(self.random.randrange(1, 9))),
                self.maybe(self.price()),
                self.random.choice([None, self.price(), self.price()]),
                self.random.choice([None, None, self.price()]),
                strategy=self.random.choice(["", "s"]),
            )
        )

    def order(self) -> None:
        number = self.random.randrange(ORDERS)
        self.events.append(
            Order(
                self.time(),
                self.accounts[number],
                f"o{number}",
                self.random.choice(STATES),
                self.instruments[number],
                self.random.choice(["", "v"]),
                quantity=self.maybe(Decimal(self.random.randrange(1, 12))),
                limit_price=self.maybe(self.price()),
                decision_price=self.maybe(self.price()),
                arrival_price=self.random.choice([None, None, None, self.price()]),
                sequence=self.random.randrange(2),
            )
        )

    def quote(self) -> None:
        bid = self.price()
        name = self.random.choice(["X", "Y", "BTCUSD", "BTCEUR"])
        venue = "" if name.startswith("BTC") else self.random.choice(["", "v"])
        ask = bid + Decimal(self.random.randrange(3)) / 100
        self.events.append(Quote(self.time(0), venue, name, bid, ask, self.random.randrange(2)))

    def mark(self) -> None:
        if not self.few_marks or self.random.random() < 0.1:
            name = self.random.choice("XY")
            self.events.append(
                Mark(self.time(0), self.random.choice(["", "v"]), name, self.price())
            )

    def cash(self) -> None:
        account = self.random.choice("abb")
        amount = Decimal(self.random.randrange(-100, 600))
        currency = self.random.choice(["", "", "", "USD"])
        name = f"c{self.random.randrange(9)}"
        self.events.append(Cash(self.time(), account, name, amount, currency))

    def trade(self) -> None:
        number = self.random.randrange(ORDERS)
        is_of_order = self.random.random() < 0.8
        sides: list[Any] = [0, 0, self.sides[number]] if is_of_order else [1, -1]
        made = Execution(
            self.time(),
            self.accounts[number],
            self.random.choice(["", "v"]),
            self.instruments[number],
            f"e{self.random.randrange(40)}",
            side=self.random.choice(sides),
            quantity=Decimal(self.random.randrange(1, 6)),
            price=self.price(),
            order_id=f"o{number}" if is_of_order else "",
            fee=self.maybe(Decimal(self.random.randrange(-2, 5)) / 100),
            fee_currency=self.random.choice(["", "BTC", "USD"]),
            liquidity=self.random.choice(["", "maker", "taker"]),
            strategy=self.random.choice(["", "", "s"]),
            sequence=self.random.randrange(2),
        )
        self.events.append(made)
        self.executions.append(made)

    def revise(self) -> None:
        if not self.executions:
            return
        of = self.random.choice(self.executions)
        time_ns = of.time_ns + self.random.randrange(1, 40) * self.unit_ns
        name = f"r{len(self.executions)}.{self.random.randrange(100)}"
        kind: Any = self.random.choice(["correct", "correct", "bust"])
        is_bust = kind == "bust"
        made = Execution(
            min(time_ns, (1_000 + SPAN) * self.unit_ns), of.account, of.venue, of.instrument,
            name, kind, of.id,
            side=0 if is_bust else self.random.choice([0, 0, 0, 1, -1]),
            quantity=None if is_bust else self.maybe(Decimal(self.random.randrange(1, 6))),
            price=None if is_bust else self.maybe(self.price()),
            fee=None if is_bust else self.random.choice([None, None, Decimal("0.07")]),
            liquidity="" if is_bust else self.random.choice(["", "taker"]),
        )  # fmt: skip
        self.events.append(made)
        self.executions.append(made)
