"""All of an engine that a checkpoint and its archive hold, and the way back. Pure.

The archive takes executions once, when they were accepted, with how they were booked; a checkpoint
takes everything else. What depends on emissions (exemplars, what has changed since) is in neither.
"""

from collections.abc import Iterable
from typing import Any, Final

from tapeline.signals.archive import Step, decode_logs, encode_logs
from tapeline.signals.booking import BookedTrade
from tapeline.signals.cash import CashBook
from tapeline.signals.codec import decode_events, encode_events
from tapeline.signals.engine import Engine
from tapeline.signals.events import Cash
from tapeline.signals.executions import Executions, OrderTerms
from tapeline.signals.horizons import WaitingExecution
from tapeline.signals.ledger import Ledger
from tapeline.signals.market_state import dump_market, restore_market
from tapeline.signals.order_state import dump_orders, restore_orders
from tapeline.signals.order_terms import StatedTerms, TermsBook
from tapeline.signals.plain import Plain
from tapeline.signals.positions import PositionKey, PositionState
from tapeline.signals.returns import ReturnsState
from tapeline.signals.round_trips import TripTally

__all__ = [
    "LAYOUT",
    "SettingsChangedError",
    "drop_archive",
    "dump_archive",
    "dump_engine",
    "dump_held",
    "restore_engine",
]

LAYOUT: Final = 1
"""Of what `dump_engine` returns."""

_LEDGER_COUNTS: Final = ("late_trade_count", "too_late_count")
_EXECUTION_COUNTS: Final = ("unmatched_count", "after_bust_count", "side_flip_count")
_SET_COUNTS: Final = ("duplicate_count", "conflict_count")


class SettingsChangedError(ValueError):
    """What was kept can't go on with the configuration; the message says what to change."""


def dump_archive(engine: Engine) -> Plain:
    """Return the executions that were accepted, and booked, since the last call."""
    sampled = engine.sampled
    logs = [
        log.take(ledger.executions, ledger.horizon_ns)
        for log, ledger in ((engine.log, engine.live.ledger), (sampled.log, sampled.ledger))
    ]
    booked = [list(trade) for trade in sampled.bookkeeper.take_new()]
    return {**encode_logs(logs), "booked": booked}


def drop_archive(engine: Engine) -> None:
    """Forget what the next archive would hold: the state is kept by nobody."""
    for log in (engine.log, engine.sampled.log):
        log.drop()
    engine.sampled.bookkeeper.take_new()


def dump_held(engine: Engine) -> Plain:
    """Return all executions that are held, as one archive, for a state without earlier ones."""
    logs = [_held(view.ledger.executions) for view in (engine.live, engine.sampled)]
    return {
        **encode_logs(logs),
        "booked": [list(trade) for trade in engine.sampled.bookkeeper.trades()],
    }


def _held(executions: Executions) -> list[Step]:
    """Return what is held so that nothing is parked on the way that has found its trade."""
    return [*sorted(executions.events, key=executions.depth)]


def dump_engine(engine: Engine) -> dict[str, Any]:
    """Return the state but for what was archived."""
    sampled = engine.sampled
    return {
        "layout": LAYOUT,
        "greatest": engine.greatest_time_ns,
        "watermark": engine.watermark_ns,
        "facts": _facts(engine),
        "events": dict(engine.events),
        "late": dict(engine.late),
        "shortened": engine.shortened_count,
        "market": dump_market(engine.market),
        "live": {
            **_dump_ledger(engine.live.ledger),
            "terms": _dump_terms(engine.live.terms),
            "cash": _dump_cash(engine.live.cash),
        },
        "sampled": {
            **_dump_ledger(sampled.ledger),
            "terms": _dump_terms(sampled.terms),
            "cash": _dump_cash(sampled.accounts.cash),
            "waiting": encode_events(sampled.waiting()),
            "order_conflicts": [list(item) for item in sampled.orders.contradicting()],
            "order_counts": _counts(sampled.orders, _SET_COUNTS),
            "too_late": sampled.too_late_count,
            "forced": sampled.forced_count,
            # One of the same identity may have been booked, and have left the window since.
            "unbooked": [
                list(identity)
                for identity in sampled.ledger.executions.events.held
                if not sampled.bookkeeper.is_booked(identity)
            ],
            "revised": sampled.bookkeeper.revised_count,
            "worst": sampled.bookkeeper.worst.dump(),
            "orders": dump_orders(sampled.book),
            "horizons": [[list(held), due] for held, due in sampled.horizons.waiting()],
            "boundary": sampled.accounts.next_boundary_ns,
            "accounts": {
                account: [list(record.returns.state()), list(record.curve)]
                for account, record in sampled.accounts.items()
            },
            "trips": [[list(key), dict(amounts)] for key, amounts in sampled.trips.open()],
            "tallies": {account: list(tally) for account, tally in sampled.trips.tallies.items()},
        },
        "series": engine.series.dump(),
    }


def restore_engine(engine: Engine, state: Any, archives: Iterable[Any]) -> None:
    """Let a new engine become what was dumped; `archives` are in the order they were taken in.

    Raises SettingsChangedError, and ValueError, KeyError, TypeError or IndexError of broken state.
    """
    if state["layout"] != LAYOUT:
        raise ValueError(f"the state has layout {state['layout']}, this build knows {LAYOUT}")
    _check_facts(engine, state["facts"])
    live_steps: list[Step] = []
    sampled_steps: list[Step] = []
    booked: dict[tuple[Any, ...], BookedTrade] = {}
    for archive in archives:
        of_live, of_sampled = decode_logs(archive)
        live_steps += of_live
        sampled_steps += of_sampled
        for identity, side, strategy, prices in archive["booked"]:
            trade = BookedTrade(tuple(identity), side, strategy, tuple(prices))
            booked[trade.identity] = trade
    engine.greatest_time_ns = state["greatest"]
    engine.events.update(state["events"])
    engine.late.update(state["late"])
    engine.shortened_count = state["shortened"]
    restore_market(engine.market, state["market"])
    live = state["live"]
    _restore_terms(engine.live.terms, live["terms"])
    _restore_cash(engine.live.cash, live["cash"])
    _restore_ledger(engine.live.ledger, live, live_steps)
    engine.series.restore(state["series"])
    _restore_sampled(engine, state, sampled_steps, booked)


def _restore_sampled(
    engine: Engine,
    whole: Any,
    steps: list[Step],
    booked: dict[tuple[Any, ...], BookedTrade],
) -> None:
    sampled, state = engine.sampled, whole["sampled"]
    waiting: list[Any] = decode_events(state["waiting"])
    sampled.begin(whole["watermark"])
    _restore_terms(sampled.terms, state["terms"])
    _restore_cash(sampled.accounts.cash, state["cash"])
    _restore_ledger(sampled.ledger, state, steps)
    restore_orders(sampled.book, state["orders"])
    for fields, due_ns in state["horizons"]:
        identity, *rest = fields
        sampled.horizons.restore(WaitingExecution(tuple(identity), *rest), due_ns)
    positions = sampled.ledger.positions
    sampled.accounts.next_boundary_ns = state["boundary"]
    for account, (returns, curve) in state["accounts"].items():
        record = sampled.accounts.restore(account)
        record.returns.restore(ReturnsState(tuple(returns[0]), *returns[1:]))
        record.curve.extend((time_ns, equity) for time_ns, equity in curve)
    for key in dict(positions.items()):
        found = sampled.accounts.get(key[0])
        if found is not None:
            found.keys[key] = None
    sampled.trips.restore(
        {key: position.state for key, position in positions.items()},
        {_key(key): amounts for key, amounts in state["trips"]},
        {account: TripTally(*fields) for account, fields in state["tallies"].items()},
    )
    unbooked = {tuple(identity) for identity in state["unbooked"]}
    for identity, trade in booked.items():
        if identity in sampled.ledger.executions.events.held and identity not in unbooked:
            chain = sampled.ledger.executions.chain(identity)
            sampled.bookkeeper.restore(trade, chain if chain and chain[0].side else ())
    sampled.bookkeeper.revised_count = state["revised"]
    sampled.bookkeeper.worst.restore(state["worst"])
    sampled.restore_waiting(waiting)
    for identity, contents in state["order_conflicts"]:
        sampled.orders.remember(tuple(identity), [_content(each) for each in contents])
    _set_counts(sampled.orders, _SET_COUNTS, state["order_counts"])
    sampled.too_late_count, sampled.forced_count = state["too_late"], state["forced"]


def _facts(engine: Engine) -> dict[str, Any]:
    """Return what figures were made with, of instruments and accounts that have positions."""
    settings = engine.settings
    names = {key[2] for key, _ in engine.live.ledger.positions.items()}
    accounts = {key[0] for key, _ in engine.live.ledger.positions.items()}
    accounts |= {name for name, _ in engine.sampled.accounts.items()}
    return {
        "instruments": {
            name: [
                held.is_inverse,
                held.multiplier,
                held.base_currency,
                held.quote_currency,
                held.settlement_currency,
            ]
            for name in sorted(names)
            for held in [settings.instruments[name]]
        },
        "accounts": {
            name: [terms.base_currency, terms.starting_equity]
            for name in sorted(accounts)
            for terms in [engine.sampled.accounts.terms(name)]
        },
        "risk_period": settings.risk_period_ns,
        "workers": settings.workers,
    }


def _check_facts(engine: Engine, facts: Any) -> None:
    for name, known in facts["instruments"].items():
        held = engine.settings.instruments[name]
        now: list[Any] = [held.is_inverse, held.multiplier, held.base_currency]
        now += [held.quote_currency, held.settlement_currency]
        if now != known:
            raise SettingsChangedError(
                f"the instrument {name!r} has positions that were counted as {_spelt(known)}, and"
                f" the configuration now says {_spelt(now)}: give it another name, or begin with a"
                " new state"
            )
    for name, (currency, equity) in facts["accounts"].items():
        terms = engine.sampled.accounts.terms(name)
        if terms.base_currency != currency:
            raise SettingsChangedError(
                f"the account {name!r} was counted in {currency}, and the configuration now says"
                f" {terms.base_currency}: change it back, or begin with a new state"
            )
        if terms.starting_equity != equity:
            raise SettingsChangedError(
                f"the account {name!r} began with {equity}, and the configuration now says"
                f" {terms.starting_equity}, which would be a return: change it back and send a"
                " trading.cash event, or begin with a new state"
            )
    workers = engine.settings.workers
    if workers and facts["workers"] and workers != facts["workers"] and facts["accounts"]:
        raise SettingsChangedError(
            f"server.workers was {facts['workers']} when positions were counted, and is {workers}"
            " now, so that accounts would move without them: change it back, or begin with a new"
            " state"
        )
    period_ns = engine.settings.risk_period_ns
    if facts["risk_period"] != period_ns:
        raise SettingsChangedError(
            f"returns are of periods of {facts['risk_period'] / 1e9:g} s, and the configuration now"
            f" says {period_ns / 1e9:g} s (risk.period): change it back, or begin with a new state"
        )


def _spelt(terms: list[Any]) -> str:
    """Return an instrument's terms as the configuration names them."""
    is_inverse, multiplier, currencies = terms[0], terms[1], terms[2:]
    names = ("base_currency", "quote_currency", "settlement_currency")
    told = [f"{name} {value}" for name, value in zip(names, currencies, strict=True) if value]
    return ", ".join(["inverse" if is_inverse else "linear", f"multiplier {multiplier:f}", *told])


def _dump_ledger(ledger: Ledger) -> dict[str, Any]:
    executions = ledger.executions
    return {
        "beginnings": [
            [list(key), _dump_position(position.beginning)]
            for key, position in ledger.positions.items()
        ],
        "horizon": ledger.horizon_ns,
        "order_terms": [[*name, *terms] for name, terms in executions.terms()],
        "counts": _counts(ledger, _LEDGER_COUNTS),
        "execution_counts": _counts(executions, _EXECUTION_COUNTS),
        "set_counts": _counts(executions.events, _SET_COUNTS),
        "conflicts": [list(item) for item in executions.events.contradicting()],
    }


def _restore_ledger(ledger: Ledger, state: Any, steps: Iterable[Step]) -> None:
    ledger.restore(
        {_key(key): _position(fields) for key, fields in state["beginnings"]},
        state["horizon"],
        [
            (account, order_id, OrderTerms(*fields))
            for account, order_id, *fields in state["order_terms"]
        ],
        steps,
    )
    _set_counts(ledger, _LEDGER_COUNTS, state["counts"])
    held: Executions = ledger.executions
    _set_counts(held, _EXECUTION_COUNTS, state["execution_counts"])
    for identity, contents in state["conflicts"]:
        held.events.remember(tuple(identity), [_content(each) for each in contents])
    _set_counts(held.events, _SET_COUNTS, state["set_counts"])


def _dump_position(state: PositionState) -> list[Any]:
    return [*state[:3], dict(state.fees), *state[4:]]


def _position(fields: Any) -> PositionState:
    quantity, cost, realised, fees, *rest = fields
    return PositionState(quantity, cost, realised, tuple(fees.items()), *rest)


def _dump_terms(terms: TermsBook) -> list[Any]:
    return [[*name, *map(_listed, stated)] for name, stated in terms.items()]


def _restore_terms(terms: TermsBook, state: Any) -> None:
    for account, order_id, side, side_key, strategy, strategy_key, latest_ns in state:
        stated = StatedTerms(side, tuple(side_key), strategy, tuple(strategy_key), latest_ns)
        terms.restore((account, order_id), stated)


def _dump_cash(cash: CashBook) -> dict[str, Any]:
    return {
        "totals": {account: dict(cash.totals(account)) for account in cash.accounts()},
        "events": encode_events(list(cash.events)),
        "conflicts": [list(item) for item in cash.events.contradicting()],
        "counts": _counts(cash.events, _SET_COUNTS),
    }


def _restore_cash(cash: CashBook, state: Any) -> None:
    events = (event for event in decode_events(state["events"]) if isinstance(event, Cash))
    cash.begin(state["totals"], events)
    for identity, contents in state["conflicts"]:
        cash.events.remember(tuple(identity), [_content(each) for each in contents])
    _set_counts(cash.events, _SET_COUNTS, state["counts"])


def _counts(holder: object, names: Iterable[str]) -> list[int]:
    return [getattr(holder, name) for name in names]


def _set_counts(holder: object, names: Iterable[str], counts: Iterable[int]) -> None:
    for name, count in zip(names, counts, strict=True):
        setattr(holder, name, count)


def _key(fields: Any) -> PositionKey:
    account, strategy, instrument = fields
    return (account, strategy, instrument)


def _content(fields: Any) -> tuple[Any, ...]:
    return tuple(tuple(each) if isinstance(each, list) else each for each in fields)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
