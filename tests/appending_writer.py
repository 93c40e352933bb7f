"""Appends rows to a store until it is killed, and says what was committed: run by the crash tests.

Its state is the list of numbers that it has seen. A row holds ROW_SIZE of them, a checkpoint all.
"""

import sys
from decimal import Decimal

from tapeline.signals.codec import decode_events, encode_events
from tapeline.signals.events import Event, Execution
from tapeline.signals.opening import open_store
from tapeline.signals.plain import decode_state, encode_state
from tapeline.signals.store import Loaded, LogRow

ROW_SIZE = 3
ROWS_A_CHECKPOINT = 7


def execution(number: int) -> Execution:
    """Return an execution that is told from all others by its number."""
    return Execution(
        number, "a", "v", "X", f"e{number}", side=1, quantity=Decimal(1), price=Decimal(number)
    )


def numbers_of(loaded: Loaded) -> list[int]:
    """Return all numbers of a state, in order: those of the checkpoint, then those of the rows."""
    numbers: list[int] = decode_state(loaded.checkpoint) if loaded.checkpoint else []
    for row in loaded.rows:
        numbers.extend(event.time_ns for event in decode_events(row.events))
    return numbers


def write(url: str) -> None:
    """Append rows, print the last number of each when it is committed, and never end."""
    store = open_store(url)
    loaded = store.load()
    if loaded.start_time_ns is None:
        store.begin(1)
    numbers = numbers_of(loaded)
    sequence = loaded.last_sequence
    archived = len(numbers_of(loaded._replace(rows=())))
    print("ready", flush=True)  # noqa: T201 - the test reads it
    while True:
        sequence += 1
        first = len(numbers) + 1
        events: list[Event] = [execution(number) for number in range(first, first + ROW_SIZE)]
        store.append(LogRow(sequence, first, 0, encode_events(events)))
        numbers.extend(event.time_ns for event in events)
        print(numbers[-1], flush=True)  # noqa: T201 - the test reads it
        if sequence % ROWS_A_CHECKPOINT == 0:
            chunk = encode_events(map(execution, numbers[archived:]), compressed=True)
            store.checkpoint(sequence, encode_state(numbers), chunk, numbers[-1], 0)
            archived = len(numbers)


if __name__ == "__main__":
    write(sys.argv[1])
