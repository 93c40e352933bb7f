"""`tapeline signals`: what the kept state says, and whether it is what its events make."""

import json
import sys
from typing import Final

from tapeline.pipeline.markup import visible
from tapeline.signals.config import SignalsConfig
from tapeline.signals.config_files import settings_of
from tapeline.signals.engine import Engine
from tapeline.signals.kept_state import Kept, read_states, verified_states
from tapeline.signals.moments import moment
from tapeline.signals.opening import MEMORY, safe_url
from tapeline.signals.report import prepare_report
from tapeline.signals.report_merge import merge_all
from tapeline.signals.report_text import report_text
from tapeline.signals.store import StoreError

__all__ = ["show_command", "verify_command"]

_MAX_DIFFERENCES: Final = 40


def show_command(config: SignalsConfig, workers: int, *, as_json: bool) -> int:
    """Print positions, P&L and portfolios of all workers' states; the sidecar may run meanwhile.

    Returns 0, or 1 where a state can't be read; what the others say is printed all the same.
    Raises ConfigError.
    """
    settings = settings_of(config).engine
    if not _is_kept(config):
        return 1
    try:
        states = list(read_states(config.state, workers, settings))
    except StoreError as error:
        _say(str(error))
        return 1
    known = [state.engine for state in states if state.engine is not None]
    for state in states:
        _warn(state, workers)
    if not known:
        if not any(state.problem for state in states):
            _say(
                f"{safe_url(config.state)}: no state is there. It begins with the first event;"
                " paths are relative to the folder that the sidecar was started in"
            )
        return 1
    _print(config, states, known, as_json=as_json)
    return 1 if any(state.problem or state.damaged_count for state in states) else 0


def verify_command(config: SignalsConfig, workers: int) -> int:
    """Compare each worker's newest checkpoint with what the one before it and the rows since make.

    Returns 0 where all are the same, 1 where one is not, or can't be compared. Raises ConfigError.
    """
    settings = settings_of(config).engine
    if not _is_kept(config):
        return 1
    code = 0
    try:
        for verdict in verified_states(config.state, workers, settings):
            _out(f"worker {verdict.worker}: {verdict.told}\n")
            for place, kept, replayed in verdict.found[:_MAX_DIFFERENCES]:
                _out(f"  {visible(place)}: kept {visible(kept)}, replayed {visible(replayed)}\n")
            rest = len(verdict.found) - _MAX_DIFFERENCES
            if rest > 0:
                _out(f"  and {rest:,} more\n")
            if verdict.found:
                _out(
                    "  Where the configuration or the build changed between the two checkpoints,"
                    " that is why. Else the state was altered, or there is a bug.\n"
                )
            code |= not verdict.is_good
    except StoreError as error:
        _say(str(error))
        return 1
    return code


def _is_kept(config: SignalsConfig) -> bool:
    if config.state == MEMORY:
        _say(
            "signals.state is memory: there is no state to read; /signals shows what a sidecar has"
        )
    return config.state != MEMORY


def _warn(state: Kept, workers: int) -> None:
    name = f"worker {state.worker}"
    if state.worker >= workers:
        _say(f"{name}: there is a state of more workers than server.workers: it is not kept up")
    if state.problem is not None:
        _say(f"{name}: {state.problem}")
    elif state.engine is None:
        _say(f"{name}: no state yet")
    if state.damaged_count:
        _say(
            f"{name}: {state.damaged_count} pieces of the state are damaged and not in the figures"
        )


def _print(
    config: SignalsConfig, states: list[Kept], known: list[Engine], *, as_json: bool
) -> None:
    reports = [
        prepare_report(engine, trace_url=config.trace_url, max_positions=None, max_accounts=None)()
        for engine in known
    ]
    merged = merge_all(reports, max_positions=None, max_accounts=None)
    if as_json:
        workers = [
            {
                "worker": state.worker,
                "start_time_ns": state.start_time_ns,
                "last_sequence": state.last_sequence,
                "damaged": state.damaged_count,
                "problem": state.problem,
            }
            for state in states
        ]
        _out(json.dumps({"workers": workers, **merged}, indent=1) + "\n")
        return
    for state in states:
        if state.engine is not None:
            _out(
                f"{safe_url(config.state)}, worker {state.worker}: since"
                f" {moment(state.start_time_ns)}, {state.last_sequence:,} commits\n"
            )
    _out(report_text(merged))


def _out(text: str) -> None:
    sys.stdout.write(text)


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
