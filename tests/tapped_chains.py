"""Chains that somebody looks at: the real redaction, with processors of a test around it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message
from prometheus_client import CollectorRegistry

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.processor import Processor, Result
from tapeline.pipeline.registry import ProcessorContext
from tapeline.pipeline.watch import Mask, Watch
from tapeline.serve import EnforcedRedaction
from tapeline.settings import build_chain, load_settings

__all__ = ["Altering", "chain_of", "redaction_of", "tapped_chain"]


@dataclass
class Altering:
    """A processor that changes the parsed request as a test says, or raises."""

    change: Callable[[Message], None]
    name: str = "altering"

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Change a copy."""
        del now_unix_nano
        request = type(batch.request).FromString(batch.payload)
        self.change(request)
        return Result(batch.with_payload(request.SerializeToString()))

    def tick(self, now_unix_nano: int) -> tuple[Batch, ...]:
        """Emit nothing."""
        del now_unix_nano
        return ()

    close = tick


def tapped_chain(
    folder: Path,
    text: str = "",
    before: Sequence[Processor] = (),
    after: Sequence[Processor] = (),
    mask: Mask | None = None,
) -> Chain:
    """Return a chain with the redaction of a configuration, as `serve` makes it for the tap."""
    redaction, of_settings = redaction_of(folder, text)
    return chain_of(redaction, mask or of_settings, before, after)


def chain_of(
    redaction: Processor,
    mask: Mask,
    before: Sequence[Processor] = (),
    after: Sequence[Processor] = (),
) -> Chain:
    """Return a chain that can be looked at behind its redaction."""
    steps = (*before, redaction, *after)
    watch = Watch(dict.fromkeys(Signal, redaction), mask)
    return Chain(dict.fromkeys(Signal, steps), max_value_bytes=60_000, watch=watch)


def redaction_of(folder: Path, text: str = "") -> tuple[Processor, Mask]:
    """Return a redaction and the mask of the same rules: both take a while to make."""
    path = folder / "tapped.yaml"
    path.write_text(
        f"{text}\nchain: {{logs: [redaction], traces: [redaction], metrics: [redaction]}}\n",
        encoding="utf-8",
    )
    settings = load_settings(path, {})
    context = ProcessorContext(CollectorRegistry())
    (redaction,) = build_chain(settings, context).processors
    return redaction, EnforcedRedaction(settings, audits=False)
