"""What serving does about Python's collector of cycles: it never walks through what stays."""

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tapeline import serve
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.registry import ProcessorContext
from tapeline.transport.service import ServiceSettings


class _Cycle:
    """An object that only the collector of cycles can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collector() -> Iterator[None]:
    """Give the collector back as it was, for the tests that follow."""
    threshold = gc.get_threshold()
    gc.unfreeze()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.fixture
def chain() -> Chain:
    """Return a chain of nothing: what it is made of does not matter."""
    return Chain({})


@pytest.mark.usefixtures("collector")
def test_what_was_made_so_far_is_never_walked_through(chain: Chain) -> None:
    """All objects that live when the chain is settled are set apart, and the chain is returned."""
    kept = [_Cycle() for _ in range(1_000)]

    assert serve._settled(chain) is chain

    assert gc.get_freeze_count() > len(kept)
    walked = {id(each) for each in gc.get_objects()}
    assert walked.isdisjoint(map(id, kept))


@pytest.mark.usefixtures("collector")
def test_the_cycles_of_a_batch_or_more_are_looked_for_at_once(chain: Chain) -> None:
    """The first threshold is above what a batch makes; the rarer rounds are as they were."""
    before = gc.get_threshold()

    serve._settled(chain)

    assert gc.get_threshold() == (20_000, *before[1:])


@pytest.mark.usefixtures("collector")
def test_a_reload_frees_the_chain_before(chain: Chain) -> None:
    """What was set apart with the last chain is freed with it when the next one is settled."""
    left = _Cycle()
    serve._settled(chain)
    gone = weakref.ref(left)
    del left
    gc.collect()
    assert gone() is not None, "set apart, so an ordinary round does not see it"

    serve._settled(chain)

    assert gone() is None


@pytest.mark.usefixtures("collector")
def test_the_chains_of_the_start_and_of_each_reload_are_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Serving hands over no chain, first or later, whose objects a round would walk through."""
    config = tmp_path / "gate.yaml"
    config.write_text("chain: {logs: [], traces: [], metrics: []}", encoding="utf-8")
    frozen: list[int] = []

    def run(
        _settings: ServiceSettings,
        build: Callable[[ProcessorContext], Chain],
        *,
        reload_chain: Callable[[ProcessorContext], Chain],
        **_: object,
    ) -> int:
        for make in (build, reload_chain):
            gc.unfreeze()
            make(ProcessorContext(CollectorRegistry()))
            frozen.append(gc.get_freeze_count())
        return 0

    monkeypatch.setattr(serve, "run", run)

    assert serve.serve_command(config) == 0
    assert len(frozen) == 2
    assert min(frozen) > 1_000
