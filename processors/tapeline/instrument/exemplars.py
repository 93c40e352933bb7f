"""Exemplars for `prometheus_client` whose traces are kept, though most traces are not.

Tail sampling keeps a part of the traces, and decides after an exemplar was written. So a span whose
trace becomes an exemplar carries `tapeline.exemplar`, which collector/egress.yaml keeps; and only
some traces a second become one, or every trace would be kept.
"""

import threading
import time
from collections import deque
from typing import Final

from opentelemetry import trace

__all__ = ["EXEMPLAR_ATTRIBUTE", "ExemplarAllowance", "trace_exemplar"]

EXEMPLAR_ATTRIBUTE: Final = "tapeline.exemplar"
_TRACES_PER_S: Final = 10.0
_REMEMBERED: Final = 64


class ExemplarAllowance:
    """Lets so many traces a second be named, each as often as it likes. Thread-safe."""

    def __init__(self, traces_per_s: float) -> None:
        self._interval_s = 1.0 / traces_per_s
        self._next_s = 0.0
        self._named: deque[int] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()

    def takes(self, trace_id: int, now_s: float) -> tuple[bool, bool]:
        """Tell whether a trace may be named, and whether it is so for the first time.

        Up to a second's worth may come at once.
        """
        with self._lock:
            if trace_id in self._named:
                return True, False
            begin_s = max(self._next_s, now_s - 1.0)
            if begin_s > now_s:
                return False, False
            self._next_s = begin_s + self._interval_s
            self._named.append(trace_id)
            return True, True


_ALLOWANCE: Final = ExemplarAllowance(_TRACES_PER_S)


def trace_exemplar() -> dict[str, str] | None:
    """Return an exemplar for an observation of `prometheus_client`; None if the trace isn't kept.

    histogram.observe(seconds, exemplar=trace_exemplar())

    Ten traces a second get one, in this process; their current span is marked as kept.
    """
    span = trace.get_current_span()
    context = span.get_span_context()
    # A span that only stands for another process's can't be marked.
    if not (context.is_valid and context.trace_flags.sampled and span.is_recording()):
        return None
    may, is_first = _ALLOWANCE.takes(context.trace_id, time.monotonic())
    if not may:
        return None
    if is_first:
        span.set_attribute(EXEMPLAR_ATTRIBUTE, value=True)
    return {"trace_id": trace.format_trace_id(context.trace_id)}
