"""The bench of the kit compares like with like: all of its processors do the same."""

import json

import pytest
from bench.kit import kit_as_json, kit_table, rows_of
from bench.kit_core import EVERY, PROCESSORS, main, payload_of
from bench.payloads import load_of
from bench.processes import BenchError

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch


def test_every_processor_makes_the_same_of_a_batch() -> None:
    """On the wire, on the parsed request and with the kit."""
    source = load_of(Signal.LOGS).batches[0]
    for every in EVERY.values():
        batch = Batch(Signal.LOGS, payload_of(source, every))
        results = [make().process(batch, 0).batch for make in PROCESSORS.values()]
        payloads = {result.payload for result in results if result is not None}
        assert len(payloads) == 1
        assert (payloads == {batch.payload}) == (every == 0)


def test_a_run_gives_a_row_for_each_processor_and_mix(capsys: pytest.CaptureFixture[str]) -> None:
    """With the part of the records that changed; another part would make the figures untrue."""
    main(1)
    found = json.loads(capsys.readouterr().out)
    rows = rows_of(found)

    assert len(rows) == len(EVERY) * len(PROCESSORS)
    assert [row["processor"] for row in kit_as_json(rows)][: len(PROCESSORS)] == list(PROCESSORS)
    assert len(kit_table(rows).strip().splitlines()) == 1 + len(PROCESSORS)
    found[-1]["changed_of_records"] = 0.5
    with pytest.raises(BenchError, match=r"changed 50\.00% of the records, not all"):
        rows_of(found)
