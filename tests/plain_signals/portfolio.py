"""An account in its base currency, its risk, and its round trips. Sections 2, 3 and 5."""

from fractions import Fraction

from plain_signals.chains import trades
from plain_signals.known import Known, named
from plain_signals.positions import (
    Gauges,
    by_strategy,
    converted,
    net_amounts,
    netted,
    price_of,
)
from plain_signals.samples import account_of
from tapeline.signals.events import Identity


def accounts(known: Known) -> list[str]:
    """Return the accounts that traded or were funded."""
    traded = [trade.reported.account for trade in trades(known)]
    return sorted({event.account for event in known.cash} | set(traded))


def net(known: Known, account: str) -> Fraction | None:
    """Return realised and unrealised P&L less fees of an account, None where a rate is missing.

    It is the sum over the strategies' positions, of which each has its own price.
    """
    totals: dict[str, Fraction] = {}
    for (owner, _, name), held in by_strategy(known).items():
        if owner != account:
            continue
        for currency, amount in net_amounts(held, price_of(known, name, held)[0]).items():
            totals[currency] = totals.get(currency, Fraction(0)) + amount
    return converted(known, totals, account_of(known, account).base_currency)


def equity(known: Known, account: str) -> Fraction | None:
    """Return starting equity, cash and net P&L, None where a rate is missing."""
    of_account = account_of(known, account)
    deposits: dict[str, Fraction] = {}
    for event in known.cash:
        if event.account == account:
            currency = event.currency or of_account.base_currency
            deposits[currency] = deposits.get(currency, Fraction(0)) + Fraction(event.amount)
    cash = converted(known, deposits, of_account.base_currency)
    earned = net(known, account)
    if cash is None or earned is None:
        return None
    return Fraction(of_account.starting_equity) + cash + earned


def portfolio_gauges(known: Known) -> Gauges:
    """Return equity, exposure, leverage, concentration and count of every account."""
    found: Gauges = {}
    for account in accounts(known):
        base = account_of(known, account).base_currency
        key, money = named(account=account), named(account=account, currency=base)
        positions = netted(known, account)
        held = {name: each for name, each in positions.items() if each.quantity != 0}
        found["trading.portfolio.open_positions", key] = Fraction(len(held))
        worth_now = equity(known, account)
        if worth_now is not None:
            found["trading.portfolio.equity", money] = worth_now
        values = [_value(known, account, name) for name in held]
        sizes = sorted((abs(value) for value in values if value is not None), reverse=True)
        if len(sizes) < len(values):
            continue
        gross = sum(sizes, Fraction(0))
        found["trading.portfolio.exposure.gross", money] = gross
        found["trading.portfolio.exposure.net", money] = sum(filter(None, values), Fraction(0))
        if gross == 0:
            continue
        shares = [size / gross for size in sizes]
        found["trading.portfolio.concentration.hhi", key] = sum(
            (share * share for share in shares), Fraction(0)
        )
        found["trading.portfolio.concentration.top3", key] = sum(shares[:3], Fraction(0))
        if worth_now is not None and worth_now > 0:
            found["trading.portfolio.leverage", key] = gross / worth_now
    return found


def _value(known: Known, account: str, name: str) -> Fraction | None:
    """Return what strategies hold of an instrument, each at its own price, in base currency."""
    amounts: dict[str, Fraction] = {}
    for (owner, _, of), each in by_strategy(known).items():
        if (owner, of) == (account, name):
            value = each.value(price_of(known, name, each)[0])
            amounts[each.currency] = amounts.get(each.currency, Fraction(0)) + value
    return converted(known, amounts, account_of(known, account).base_currency)


def trip_gauges(known: Known, booked_at: dict[Identity, int]) -> Gauges:
    """Return win rate and profit factor: trips at the rate of their close, as trades stand now."""
    earned: dict[str, list[Fraction]] = {}
    for (account, _, _), held in by_strategy(known, booked_at).items():
        base = account_of(known, account).base_currency
        for trip in held.trips:
            amounts = {currency: -fee for currency, fee in trip.fees.items()}
            amounts[held.currency] = amounts.get(held.currency, Fraction(0)) + trip.earned
            place = known.events.index(trip.closed.reported) + 1
            amount = converted(known.up_to(place), amounts, base)
            if amount is not None:
                earned.setdefault(account, []).append(amount)
    found: Gauges = {}
    for account, amounts_of in earned.items():
        wins = [amount for amount in amounts_of if amount > 0]
        losses = [-amount for amount in amounts_of if amount < 0]
        key = named(account=account)
        if wins or losses:
            rate = Fraction(len(wins), len(wins) + len(losses))
            found["trading.risk.win_rate", key] = rate
        if losses:
            factor = sum(wins, Fraction(0)) / sum(losses, Fraction(0))
            found["trading.risk.profit_factor", key] = factor
    return found
