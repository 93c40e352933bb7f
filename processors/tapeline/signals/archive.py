"""What was done to the executions of both views since it was last kept, in its order. Pure.

Executions are the one part of the state that is too large to be written again and again: so each is
kept once, and what is kept can be done again, step by step, to give the same executions.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tapeline.signals.codec import decode_events, encode_events
from tapeline.signals.events import Execution, Identity
from tapeline.signals.executions import Executions

__all__ = ["ExecutionLog", "Step", "decode_logs", "encode_logs", "repeat"]

Step = Execution | Identity | int
"""An execution that was added, the time before which executions were forgotten, or what went then.

What is from later than that time went with its trade; the archive may hold that trade no more.
"""


class ExecutionLog:
    """The steps of one view."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def __len__(self) -> int:
        return len(self._steps)

    def added(self, execution: Execution) -> None:
        """Note an execution that was added."""
        self._steps.append(execution)

    def forgot(self, before_ns: int, gone: Iterable[Identity] = ()) -> None:
        """Note that what is from before a time was forgotten, and what went with it."""
        self._steps.append(before_ns)
        self._steps.extend(gone)

    def drop(self) -> None:
        """Forget the steps."""
        self._steps.clear()

    def take(self, executions: Executions, horizon_ns: int | None) -> list[Step]:
        """Return the steps since the last call.

        Once more those of executions which are from before the window and still held, as they
        belong to a trade that is in it: the archive keeps no more than the window.
        """
        taken, self._steps = self._steps, []
        if horizon_ns is not None:
            held = executions.events.held.values()
            taken.extend(event for event in held if event.time_ns < horizon_ns)
        return taken


def encode_logs(logs: Sequence[Sequence[Step]]) -> dict[str, Any]:
    """Return steps of several views as plain values; an execution of both is written once."""
    numbers: dict[int, int] = {}
    executions: list[Execution] = []
    written: list[list[list[Any]]] = []
    for log in logs:
        runs: list[list[Any]] = []
        for step in log:
            if not isinstance(step, Execution):
                runs.append([step] if isinstance(step, int) else [list(step)])
                continue
            number = numbers.get(id(step))
            if number is None:
                number = numbers[id(step)] = len(executions)
                executions.append(step)
            if runs and len(runs[-1]) > 1 and sum(runs[-1]) == number:
                runs[-1][1] += 1
            else:
                runs.append([number, 1])
        written.append(runs)
    return {"executions": encode_events(executions), "logs": written}


def decode_logs(state: Any) -> list[list[Step]]:
    """Return what was encoded; raises ValueError, KeyError, TypeError or IndexError of others."""
    executions = decode_events(state["executions"])
    return [list(_steps(runs, executions)) for runs in state["logs"]]


def repeat(executions: Executions, steps: Iterable[Step]) -> None:
    """Do to executions what was done then."""
    for step in steps:
        if isinstance(step, Execution):
            executions.add(step)
        elif isinstance(step, int):
            executions.forget(step)
        else:
            executions.discard(step)


def _steps(runs: Any, executions: Sequence[Any]) -> Iterator[Step]:
    for run in runs:
        if len(run) == 1:
            yield run[0] if isinstance(run[0], int) else tuple(run[0])
            continue
        first, count = run
        for number in range(first, first + count):
            event = executions[number]
            if not isinstance(event, Execution):
                raise TypeError("an archive holds nothing but executions")
            yield event
