"""`tapeline replay`: a recording into an endpoint, and a report of what became of it."""

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tapeline.otlp.signals import Signal
from tapeline.pipeline.durations import parse_duration_s
from tapeline.recording.delivery import Delivery, Patience
from tapeline.recording.interruption import interrupted_by_sigterm
from tapeline.recording.replay import Outcome, Plan, Position, Replay
from tapeline.recording.selected import NOUNS, selection_from
from tapeline.recording.senders import Target, make_sender

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["replay_command", "replay_from"]

_REDRAW_S: Final = 0.25
_WORTH_SAYING_S: Final = 0.5
_HOUR_S: Final = 3600
_INTERRUPTED: Final = 130


def replay_command(plan: Plan, target: Target, patience: Patience) -> int:
    """Replay, print the report on standard error, return the exit code.

    0: everything was read and accepted. 1: something was rejected, dropped, unreadable or not sent
    (the report says what, and where to go on). 2: a file or the endpoint can't be used.
    """
    try:
        sender = make_sender(target)
        for file in plan.files:
            with file.open("rb"):
                pass
        replay = Replay(plan, Delivery(sender, patience), time.time_ns, _say_wait)
    except OSError as error:
        _say(f"{error.filename}: {error.strerror}")
        return 2
    except ValueError as error:
        _say(str(error))
        return 2
    interrupted = False
    try:
        with interrupted_by_sigterm(), _shown_progress(replay):
            replay.run()
    except KeyboardInterrupt:
        interrupted = True
    except OSError as error:
        _say(f"{error.filename}: {error.strerror}")
        _report(replay, target)
        return 1
    _report(replay, target)
    if interrupted:
        return _INTERRUPTED
    return 0 if _is_whole(replay.outcome) else 1


def replay_from(options: argparse.Namespace) -> int:
    """Replay as the command line says; 2 where that can't be."""
    try:
        plan = _plan(options)
        patience = Patience(
            timeout_s=parse_duration_s(options.timeout),
            give_up_after_s=parse_duration_s(options.give_up_after),
            in_flight=options.in_flight,
        )
    except ValueError as error:
        _say(str(error))
        return 2
    target = Target(
        endpoint=options.to,
        token_file=options.token_file,
        tls=options.tls,
        ca_file=options.ca_file,
        cert_file=options.cert_file,
        key_file=options.key_file,
        server_name=options.server_name,
    )
    return replay_command(plan, target, patience)


def _plan(options: argparse.Namespace) -> Plan:
    if options.loop < 1:
        raise ValueError("--loop takes 1 or more")
    if not 0 < options.speed < inf:
        raise ValueError("--speed takes a number above 0")
    assumed = options.assume_signal
    return Plan(
        files=tuple(options.files),
        speed=None if options.flat_out else options.speed,
        passes=options.loop,
        to_now=options.now,
        id_seed=options.new_trace_ids,
        start_at=_start(options.start_at, options.files),
        selection=selection_from(options),
        assumed=None if assumed is None else Signal(assumed),
    )


def _start(text: str | None, files: list[Path]) -> Position | None:
    if text is None:
        return None
    name, _, number = text.rpartition(":")
    if not (number.isascii() and number.isdigit()) or Path(name) not in files:
        raise ValueError(f"--start-at {text}: write FILE:NUMBER, with one of the files given")
    return Position(Path(name), int(number))


def _is_whole(outcome: Outcome) -> bool:
    tallies = outcome.totals.signals.values()
    lost = any(tally.rejected or tally.dropped for tally in tallies)
    return not (lost or outcome.flaw_count or outcome.complaints or outcome.resume_at)


def _report(replay: Replay, target: Target) -> None:
    outcome = replay.outcome
    totals = outcome.totals
    for file, flaw in outcome.flaws:
        lost = "; what follows is lost" if flaw.fatal else ""
        _say(f"{file}:{flaw.number}: not sent: {flaw.reason} (at byte {flaw.offset_bytes}{lost})")
    if outcome.flaw_count > len(outcome.flaws):
        _say(f"{outcome.flaw_count - len(outcome.flaws)} further messages could not be read")
    for file, complaint in outcome.complaints:
        _say(f"{file}: {complaint}")
    for signal, tally in totals.signals.items():
        if tally.sent:
            _say(
                f"{tally.sent} {NOUNS[signal]} sent: {tally.accepted} accepted,"
                f" {tally.rejected} rejected, {tally.dropped} dropped"
            )
    for reason, count in sorted(totals.refusals.items()):
        _say(f"{target.endpoint} refused {count} batches for good: {reason}")
    rate = totals.accepted / outcome.duration_s if outcome.duration_s else 0.0
    late_s = replay.progress.late_s
    late = f"; {late_s:.1f} s late at most" if late_s >= _WORTH_SAYING_S else ""
    _say(
        f"{totals.batches} batches in {outcome.duration_s:.1f} s, {rate:,.0f} records/s accepted,"
        f" {totals.retries} retries{late}"
    )
    if outcome.resume_at is not None:
        _say_resumption(outcome, target)


def _say_resumption(outcome: Outcome, target: Target) -> None:
    if outcome.totals.last_trouble:
        _say(f"{target.endpoint} did not take more: {outcome.totals.last_trouble}")
    if outcome.totals.is_denied:
        _say("it does not let in who sends: check --token-file, or the client's certificate")
    passes = f" --loop {outcome.passes_left}" if outcome.passes_left > 1 else ""
    _say(f"all before it is settled; go on with: --start-at {outcome.resume_at}{passes}")


@contextmanager
def _shown_progress(replay: Replay) -> Iterator[None]:
    """Show rate and time left while it runs, on a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield
        return
    # It takes a tenth of a second: only whoever looks pays for it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    ended = threading.Event()
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        drawing = threading.Thread(target=_draw, args=(shown, replay, ended), daemon=True)
        drawing.start()
        try:
            yield
        finally:
            ended.set()
            drawing.join()


def _draw(shown: "Progress", replay: Replay, ended: threading.Event) -> None:
    task = shown.add_task("", total=replay.progress.total_bytes)
    accepted, at_s = 0, time.monotonic()
    while not ended.wait(_REDRAW_S):
        now_accepted, now_s = replay.outcome.totals.accepted, time.monotonic()
        rate = (now_accepted - accepted) / (now_s - at_s)
        accepted, at_s = now_accepted, now_s
        text = f"{now_accepted:,} records, {rate:,.0f}/s"
        if replay.outcome.totals.retries:
            text += f", {replay.outcome.totals.retries} retries"
        shown.update(task, completed=replay.progress.read_bytes, description=text)


def _say_wait(wait_s: float) -> None:
    _say(
        f"the next batch is due in {wait_s / _HOUR_S:,.1f} h, by its records' times;"
        " --speed or --flat-out wait less, --from-time and --to-time leave records out"
    )


def _say(message: str) -> None:
    sys.stderr.write(f"tapeline replay: {message}\n")
