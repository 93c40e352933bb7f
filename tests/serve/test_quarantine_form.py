"""What may be written into the quarantine folder: redacted by the rules of now, or nothing."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from otlp_client import logs
from tapeline import serve
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Result
from tapeline.pipeline.registry import ProcessorContext, ProcessorFactory
from tapeline.redaction.config import Mode, RedactionConfig
from tapeline.serve import EnforcedRedaction
from tapeline.settings import Settings, load_settings

BATCH = Batch(Signal.LOGS, logs(["login password=correct-horse ok"]).SerializeToString())


def _settings(folder: Path, text: str) -> Settings:
    path = folder / "gate.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, {})


@pytest.mark.parametrize(
    "text", ["", "chain: {logs: [], traces: [], metrics: []}", "redaction: {mode: observe}"]
)
def test_the_form_is_redacted_whatever_the_chain_does(tmp_path: Path, text: str) -> None:
    """A chain without redaction, or one that only observes, is no reason to write secrets down."""
    form = EnforcedRedaction(_settings(tmp_path, text))(BATCH)

    assert form is not None
    assert b"login" in form
    assert b"correct-horse" not in form


@pytest.mark.parametrize(
    "section",
    [
        "{allow: {services: [gateway]}}",
        "{services: {gateway: {mode: observe}}}",
        "{signals: {logs: {mode: observe}}}",
    ],
)
def test_no_policy_of_a_service_or_signal_lets_a_secret_into_the_folder(
    tmp_path: Path, section: str
) -> None:
    """Passing a service on unread, or only observing it, is for what goes to the backends."""
    request = logs(["login password=correct-horse ok"])
    resource = request.resource_logs[0].resource
    resource.attributes.add(key="service.name").value.string_value = "gateway"
    batch = Batch(Signal.LOGS, request.SerializeToString())

    form = EnforcedRedaction(_settings(tmp_path, f"redaction: {section}"))(batch)

    assert form is not None
    assert b"login" in form
    assert b"correct-horse" not in form


@dataclass
class _Probe:
    """Writes the rules that are on in place of the payload; notes if two threads are in it."""

    rules: str
    name: str = "redaction"
    together: list[int] = field(default_factory=list)
    inside: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(1))

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        if not self.inside.acquire(blocking=False):
            self.together.append(now_unix_nano)
            return Result(batch)
        # Long enough for another thread to come in, were it let in.
        threading.Event().wait(0.01)
        self.inside.release()
        return Result(batch.with_payload(self.rules.encode()))

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        del now_unix_nano
        return ()

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        del now_unix_nano
        return ()


@pytest.fixture(name="probes")
def _probes(monkeypatch: pytest.MonkeyPatch) -> list[_Probe]:
    """Stand a probe in for the redaction; return those that were built."""
    built: list[_Probe] = []

    def build(section: RedactionConfig, _context: ProcessorContext) -> _Probe:
        assert section.mode is Mode.ENFORCE
        # What says nothing of its own does as the section does.
        assert all(part.mode is None for part in section.services.values())
        built.append(_Probe(",".join(section.enable)))
        return built[-1]

    factory = ProcessorFactory("redaction", RedactionConfig, build)
    monkeypatch.setattr(serve, "load_factory", lambda _point: factory)
    monkeypatch.setattr("tapeline.settings.load_factory", lambda _point: factory)
    return built


def test_the_form_follows_a_reload(tmp_path: Path, probes: list[_Probe]) -> None:
    """A rule that was added since the start holds for what is written down from then on."""
    form = EnforcedRedaction(_settings(tmp_path, "redaction: {enable: [iban]}"))
    before = form(BATCH)

    form.follow(_settings(tmp_path, "redaction: {enable: [email]}"))

    assert (before, form(BATCH), len(probes)) == (b"iban", b"email", 2)


def test_what_is_observed_for_one_service_is_redacted_too(
    tmp_path: Path, probes: list[_Probe]
) -> None:
    """Observing is for what goes to the backends; a file on disk is another matter."""
    section = "redaction: {enable: [iban], services: {gateway: {mode: observe}, other: {}}}"

    assert EnforcedRedaction(_settings(tmp_path, section))(BATCH) == b"iban"
    assert len(probes) == 1


def test_a_processor_is_entered_by_one_thread_at_a_time(
    tmp_path: Path, probes: list[_Probe]
) -> None:
    """Several requests may be given up at once, and processors need no locks of their own."""
    form = EnforcedRedaction(_settings(tmp_path, "redaction: {enable: [iban]}"))

    with ThreadPoolExecutor(4) as pool:
        forms = list(pool.map(form, [BATCH] * 8))

    assert forms == [b"iban"] * 8
    assert [probe.together for probe in probes] == [[]]
