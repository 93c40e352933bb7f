"""Linear positions against those of nautilus_trader, on streams of executions without flips.

Flips and inverse contracts are left to the examples by hand: there its averages are known to be
wrong (a flip keeps the old average, an inverse average is arithmetic).
"""

from decimal import Decimal
from random import Random

import pytest

from execution_events import trade
from tapeline.signals.decimals import ZERO
from tapeline.signals.events import Execution
from tapeline.signals.instruments import Instrument
from tapeline.signals.positions import FLAT, steps

nautilus = pytest.importorskip(
    "nautilus_positions", reason="nautilus_trader has no wheel for this Python or machine"
)

LINEAR = Instrument(base_currency="BTC", quote_currency="USDT")
STREAMS = 150
MAX_EXECUTIONS = 60
ROUNDING = Decimal("1e-8") * MAX_EXECUTIONS
"""Its money has 8 places, and is rounded with each execution."""


def stream(random: Random) -> list[Execution]:
    """Return executions that never take the position across zero; some make it flat."""
    executions, units = [], 0
    for number in range(1, random.randint(2, MAX_EXECUTIONS) + 1):
        change = random.choice([-1, 1]) * random.randint(1, 5_000)
        if units * change < 0:
            change = max(-units, change) if units > 0 else min(-units, change)
        units += change
        price = Decimal(random.randint(100_000, 900_000)) / 10
        fee = Decimal(random.randint(-100, 500)) / 1000
        executions.append(
            trade(number, str(Decimal(change) / 1000), str(price), fee=fee, fee_currency="USDT")
        )
    return executions


@pytest.mark.parametrize("seed", range(STREAMS))
def test_a_linear_position_is_that_of_nautilus_trader(seed: int) -> None:
    """Quantity, average, realised P&L net of fees and unrealised P&L, after each execution."""
    position, base = None, ZERO
    for step in steps(FLAT, stream(Random(seed)), LINEAR):  # noqa: S311 - a seeded stream
        if position is None:
            position = nautilus.opened(step.execution)
        else:
            if not step.before.quantity:
                # It begins anew after flat: what was realised and paid before is not in it.
                base = step.before.realised - sum(step.before.charges(LINEAR).values(), ZERO)
            position.apply(nautilus.filled(step.execution))
        net = step.after.realised - sum(step.after.charges(LINEAR).values(), ZERO) - base
        average = step.after.average_price(LINEAR)
        last_price = step.execution.price
        assert last_price is not None

        assert Decimal(str(position.signed_qty)) == step.after.quantity
        assert abs(position.realized_pnl.as_decimal() - net) <= ROUNDING
        if average is not None:
            assert position.avg_px_open == pytest.approx(float(average), rel=1e-12)
            unrealised = nautilus.unrealised(position, last_price)
            assert abs(unrealised - step.after.unrealised(LINEAR, last_price)) <= ROUNDING
