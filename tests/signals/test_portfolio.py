"""The figures of an account."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tapeline.signals.portfolio import Holding, Portfolio, portfolio

HOLDINGS = st.lists(
    st.builds(
        Holding,
        st.sampled_from("ABCDE"),
        st.decimals("-10", "10", places=1),
        st.decimals("-1000", "1000", places=2),
        st.decimals("-100", "100", places=2),
    ),
    max_size=12,
)


def holding(name: str, value: int | None, pnl: int | None = 0) -> Holding:
    """Return a holding of as many pieces as its value, of one where that is unknown."""
    return Holding(
        name,
        Decimal(1 if value is None else value),
        None if value is None else Decimal(value),
        None if pnl is None else Decimal(pnl),
    )


def test_figures_of_a_small_account() -> None:
    """Long 300 and 100, short 100 on equity 250: gross 500, net 300, leverage 2."""
    found = portfolio(
        Decimal(100),
        Decimal(100),
        [holding("A", 300, 60), holding("B", -100, -20), holding("C", 100, 10)],
    )
    assert found == Portfolio(
        net_pnl=Decimal(50),
        equity=Decimal(250),
        gross=Decimal(500),
        net=Decimal(300),
        leverage=Decimal(2),
        hhi=Decimal("0.44"),
        top3=Decimal(1),
        open_positions=3,
    )


def test_strategies_are_netted_per_instrument() -> None:
    """One strategy's long against another's short of the same instrument is no exposure."""
    found = portfolio(Decimal(1), Decimal(0), [holding("A", 300), holding("A", -300)])
    assert found.gross == found.net == 0
    assert found.open_positions == 0
    assert (found.leverage, found.hhi, found.top3) == (None, None, None)


def test_the_largest_three_of_four() -> None:
    """A quarter each: 75 %, and an index of one quarter."""
    found = portfolio(Decimal(1), Decimal(0), [holding(name, -50) for name in "ABCD"])
    assert found.top3 == Decimal("0.75")
    assert found.hhi == Decimal("0.25")
    assert found.leverage == 200


def test_no_leverage_on_nothing() -> None:
    """Equity of 0 or less has no leverage, though exposure is known."""
    for equity in (0, -5):
        found = portfolio(Decimal(equity), Decimal(0), [holding("A", 10)])
        assert found.equity == equity
        assert found.gross == 10
        assert found.leverage is None
        assert found.hhi == 1


def test_a_missing_rate_takes_the_figure_away_not_a_part_of_it() -> None:
    """Unknown value: no exposure. Unknown P&L or cash: no equity. The count stays."""
    no_value = portfolio(Decimal(9), Decimal(0), [holding("A", None), holding("B", 5)])
    assert (no_value.gross, no_value.net, no_value.leverage, no_value.hhi, no_value.top3) == (
        None, None, None, None, None,
    )  # fmt: skip
    assert no_value.equity == 9
    assert no_value.open_positions == 2
    no_pnl = portfolio(Decimal(9), Decimal(0), [holding("A", 5, None)])
    assert (no_pnl.net_pnl, no_pnl.equity, no_pnl.leverage) == (None, None, None)
    assert no_pnl.gross == 5
    no_cash = portfolio(Decimal(9), None, [holding("A", 5, 1)])
    assert no_cash.net_pnl == 1
    assert (no_cash.equity, no_cash.leverage) == (None, None)


@given(HOLDINGS, st.randoms(use_true_random=False))
def test_figures_do_not_depend_on_order_and_keep_their_bounds(
    holdings: list[Holding], random: object
) -> None:
    """Net is at most gross, shares lie between those of equal parts and of one instrument."""
    found = portfolio(Decimal(1000), Decimal(0), holdings)
    shuffled = list(holdings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert portfolio(Decimal(1000), Decimal(0), shuffled) == found
    assert found.gross is not None
    assert found.net is not None
    assert abs(found.net) <= found.gross
    if found.hhi is not None and found.top3 is not None:
        assert Decimal("0.2") - Decimal("1e-30") <= found.hhi <= found.top3 + Decimal("1e-30")
        assert found.top3 <= 1
