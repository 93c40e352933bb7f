"""The demo's market: quotes, decisions and what the exchange makes of them, from a seed alone.

Pure: no clock, no network. Whoever asks for step n of a seed gets the same step, so two processes
that share the seed agree without talking, and a test can say what a run must have produced.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import count
from typing import Final

__all__ = [
    "INSTRUMENTS",
    "Decision",
    "Fill",
    "Instrument",
    "Outcome",
    "Quote",
    "Revision",
    "Side",
    "Step",
    "decide",
    "respond",
    "steps",
]

WALK_TICKS: Final = 3  # the mid moves at most so far from one step to the next
SPREAD_TICKS_MAX: Final = 4
PRICE_TICKS_MIN: Final = 1_000  # the walk is turned back here, so that no price reaches zero
LOTS_MAX: Final = 20
TAKER_FEE_BPS: Final = Decimal(5)
MAKER_REBATE_BPS: Final = Decimal(-1)
FEE_QUANTUM: Final = Decimal("0.00000001")


class Side(StrEnum):
    """The side of an order, spelt as in the trading convention."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class Revision(StrEnum):
    """How the exchange takes an execution back, spelt as in the trading convention."""

    CORRECT = "correct"
    BUST = "bust"


@dataclass(frozen=True, slots=True)
class Instrument:
    """What can be traded: `tick` is the price step, `lot` the quantity step."""

    name: str
    venue: str
    tick: Decimal
    lot: Decimal
    first_price: Decimal
    currency: str


INSTRUMENTS: Final[tuple[Instrument, ...]] = (
    Instrument("BTC-USD", "XDEMO", Decimal("0.50"), Decimal("0.01"), Decimal("64000.00"), "USD"),
    Instrument("ETH-USD", "XDEMO", Decimal("0.05"), Decimal("0.1"), Decimal("3400.00"), "USD"),
    Instrument("SOL-USD", "XDEMO", Decimal("0.01"), Decimal(1), Decimal("145.00"), "USD"),
)


@dataclass(frozen=True, slots=True)
class Quote:
    """The best bid and ask of an instrument."""

    instrument: Instrument
    bid: Decimal
    ask: Decimal

    @property
    def mid(self) -> Decimal:
        """The middle of bid and ask."""
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class Step:
    """One moment of the market: a quote for each instrument. Steps are numbered from 1."""

    number: int
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the strategy wants at a step; `replacement_price` is a second thought, or None."""

    number: int
    instrument: Instrument
    side: Side
    quantity: Decimal
    limit_price: Decimal
    decision_price: Decimal
    replacement_price: Decimal | None


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution: its fee is positive when paid, negative for a maker's rebate."""

    quantity: Decimal
    price: Decimal
    fee: Decimal
    liquidity: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the exchange does with an order.

    `reject_reason` excludes fills. `remainder` is the state in which an order ends that was not
    filled whole (`canceled` or `expired`), None for one that was. A `revision` takes back the
    first fill, or replaces it by `revised`.
    """

    delay_s: float
    reject_reason: str | None
    fills: tuple[Fill, ...]
    remainder: str | None
    revision: Revision | None
    revised: Fill | None


def _generator(seed: int, purpose: str) -> random.Random:
    # A text seed goes through SHA-512, so near seeds and purposes give unrelated sequences.
    return random.Random(f"{seed}/{purpose}")  # noqa: S311 - a market, not a secret


def steps(seed: int) -> Iterator[Step]:
    """Yield the market's steps for ever: a random walk of each instrument's mid, in ticks."""
    generator = _generator(seed, "walk")
    # The mid is kept in half ticks, so that an odd spread has an exact middle.
    half_ticks = [int(2 * each.first_price / each.tick) for each in INSTRUMENTS]
    for number in count(1):
        quotes = []
        for position, instrument in enumerate(INSTRUMENTS):
            moved = half_ticks[position] + generator.randint(-2 * WALK_TICKS, 2 * WALK_TICKS)
            half_ticks[position] = max(moved, 2 * PRICE_TICKS_MIN)
            spread_ticks = generator.randint(1, SPREAD_TICKS_MAX)
            bid_ticks = (half_ticks[position] - spread_ticks) // 2
            quotes.append(
                Quote(
                    instrument=instrument,
                    bid=bid_ticks * instrument.tick,
                    ask=(bid_ticks + spread_ticks) * instrument.tick,
                )
            )
        yield Step(number, tuple(quotes))


def decide(seed: int, step: Step) -> Decision:
    """Return what the strategy wants at a step: one order, mostly willing to cross the spread."""
    generator = _generator(seed, f"decision/{step.number}")
    quote = generator.choice(step.quotes)
    instrument = quote.instrument
    side = generator.choice((Side.BUY, Side.SELL))
    touch = quote.ask if side is Side.BUY else quote.bid
    limit_price = touch + side.sign * generator.randint(0, 4) * instrument.tick
    second_thought = generator.random() < 0.1  # noqa: PLR2004 - one order in ten
    return Decision(
        number=step.number,
        instrument=instrument,
        side=side,
        quantity=generator.randint(1, LOTS_MAX) * instrument.lot,
        limit_price=limit_price,
        decision_price=quote.mid,
        replacement_price=limit_price + side.sign * instrument.tick if second_thought else None,
    )


def respond(seed: int, decision: Decision) -> Outcome:
    """Return what the exchange does with an order: of 100, about 5 are rejected, 80 filled."""
    generator = _generator(seed, f"outcome/{decision.number}")
    # A second thought arrives before the order that it concerns has ended.
    wait_s = 0.0 if decision.replacement_price is None else 0.050
    delay_s = round(wait_s + generator.uniform(0.002, 0.040), 6)
    luck = generator.random()
    if luck < 0.05:  # noqa: PLR2004 - 5 %
        reason = generator.choice(("price_band", "size_limit", "instrument_halted"))
        return Outcome(delay_s, reason, (), None, None, None)
    fills = _fills(generator, decision)
    remainder = None
    if luck < 0.20:  # noqa: PLR2004 - a further 15 % end before they are filled
        fills = fills[1:]
        remainder = generator.choice(("canceled", "expired"))
    revision, revised = None, None
    if fills and generator.random() < 0.04:  # noqa: PLR2004 - the exchange errs in 4 %
        revision = generator.choice((Revision.CORRECT, Revision.BUST))
        if revision is Revision.CORRECT:
            better = fills[0].price - decision.side.sign * decision.instrument.tick
            revised = _fill(fills[0].quantity, better, fills[0].liquidity)
    return Outcome(delay_s, None, fills, remainder, revision, revised)


def _fills(generator: random.Random, decision: Decision) -> tuple[Fill, ...]:
    """Return one to three fills that add up to the order's quantity, within its limit."""
    instrument = decision.instrument
    lots = int(decision.quantity / instrument.lot)
    cuts = sorted(generator.sample(range(1, lots), min(generator.randint(0, 2), lots - 1)))
    fills = []
    for begin, end in zip((0, *cuts), (*cuts, lots), strict=True):
        better_ticks = generator.randint(0, 2)
        price = decision.limit_price - decision.side.sign * better_ticks * instrument.tick
        liquidity = "taker" if generator.random() < 0.8 else "maker"  # noqa: PLR2004 - 4 of 5
        fills.append(_fill((end - begin) * instrument.lot, price, liquidity))
    return tuple(fills)


def _fill(quantity: Decimal, price: Decimal, liquidity: str) -> Fill:
    rate_bps = TAKER_FEE_BPS if liquidity == "taker" else MAKER_REBATE_BPS
    fee = (quantity * price * rate_bps / 10_000).quantize(FEE_QUANTUM)
    return Fill(quantity, price, fee, liquidity)
