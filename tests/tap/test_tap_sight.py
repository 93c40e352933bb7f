"""The one thing that may never happen: a reader of the tap learns a secret, by whatever way."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from fake_secrets import aws_key_id, jwt, secret_text, seeded
from otlp_client import Span, histogram, key_values, logs, traces
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import Chain
from tapeline.pipeline.processor import Processor
from tapeline.pipeline.watch import Mask
from tapeline.tap.changes import event_of, is_wanted
from tapeline.tap.filters import TapFilter
from tapeline.tap.sight import Sight, sight_of
from tapped_chains import Altering, chain_of, redaction_of, tapped_chain

NOW_NS = 1_763_000_040_000_000_000
KEY = "pass" + "word"
RANDOM = seeded(7)
SECRETS = [secret_text(RANDOM), jwt(RANDOM), aws_key_id(RANDOM)]
WORDS = ["order", "desk", "filled", "", "a b c"]


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Processor, Mask]:
    """The redaction with its defaults, and the tap's mask."""
    return redaction_of(tmp_path_factory.mktemp("rules"))


def sight_in(chain: Chain, batch: Batch) -> list[Sight]:
    """Return what may be seen of a batch that a chain took."""
    chain.is_watched = True
    found = []
    for left in chain.process(batch, NOW_NS):
        assert left.sighting is not None
        found.append(sight_of(left, left.sighting.before, left.sighting.mask))
    return found


def told(sights: Sequence[Sight], wanted: TapFilter | None = None) -> list[dict[str, Any]]:
    """Return the events that a reader gets."""
    return [
        event_of(pair, 0)
        for sight in sights
        for pair in sight.pairs
        if is_wanted(pair, wanted or TapFilter())
    ]


def log_batch(*bodies: str, service: str = "desk") -> Batch:
    """Return a batch of logs."""
    return Batch(Signal.LOGS, logs(bodies, {"service.name": service}).SerializeToString())


def records_of(request: Message) -> Any:
    """Return the log records of a request of one resource."""
    return request.resource_logs[0].scope_logs[0].log_records  # type: ignore[attr-defined]


def set_body(text: str) -> Altering:
    """Return a processor that gives every log this body."""

    def change(request: Message) -> None:
        for record in records_of(request):
            record.body.string_value = text

    return Altering(change)


def reverse_bodies(request: Message) -> None:
    """Make every body unrecognisable."""
    for record in records_of(request):
        record.body.string_value = record.body.string_value[::-1]


texts = st.builds(
    lambda word, secret, form: form.format(word=word, secret=secret),
    st.sampled_from(WORDS),
    st.sampled_from(SECRETS),
    st.sampled_from(
        [
            "{word}",
            "{word} " + KEY + "={secret}",
            '{{"' + KEY + '": "{secret}"}} {word}',
            "https://u:{secret}@h/{word}",
            "Authorization: Bearer {secret}",
        ]
    ),
)
attributes = st.dictionaries(st.sampled_from(["k", KEY, "db.statement", "api.key"]), texts)


@st.composite
def requests(draw: st.DrawFn) -> Batch:
    """Draw a request of any signal, with secrets where a sender may put them."""
    signal = draw(st.sampled_from(list(Signal)))
    resource = {"service.name": "desk", **draw(attributes)}
    if signal is Signal.LOGS:
        request: Any = logs(draw(st.lists(texts, min_size=1, max_size=4)), resource)
        for record in records_of(request):
            record.attributes.extend(key_values(draw(attributes)))
    elif signal is Signal.TRACES:
        one = Span(bytes(16), draw(texts), draw(attributes), {draw(texts): draw(attributes)})
        request = traces([one], resource, draw(attributes))
    else:
        request = histogram("latency", 1.0, bytes(16), resource)
        metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
        metric.histogram.data_points[0].attributes.extend(key_values(draw(attributes)))
        metric.description = draw(texts)
    return Batch(signal, request.SerializeToString())


@given(requests(), texts)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
def test_no_event_holds_a_secret(
    enforcing: tuple[Processor, Mask], batch: Batch, brought: str
) -> None:
    """Whatever a sender, a processor in front of the redaction or one behind it writes."""

    def bring(request: Message) -> None:
        name = request.DESCRIPTOR.fields[0].name
        for group in getattr(request, name):
            group.resource.attributes.extend(key_values({"brought": brought}))

    redaction, mask = enforcing
    for chain in (
        chain_of(redaction, mask),
        chain_of(redaction, mask, before=[Altering(bring)]),
        chain_of(redaction, mask, after=[Altering(bring)]),
    ):
        sights = sight_in(chain, batch)
        events = told(sights)
        assert len(events) >= 1
        assert [sight.withheld for sight in sights] == [0] * len(sights)
        everything = json.dumps(events)
        assert [secret for secret in SECRETS if secret in everything] == []


def test_a_mask_stands_before_and_after_and_the_rule_is_named(
    enforcing: tuple[Processor, Mask],
) -> None:
    """What the redaction took is dots where it was, its mask where it went."""
    secret = SECRETS[0]
    (event,) = told(sight_in(chain_of(*enforcing), log_batch(f"x {KEY}={secret} y")))

    assert event["fate"] == "kept"
    assert event["changed"] == [
        {
            "field": "body",
            "before": f"x {KEY}=●●● (password) y",
            "after": f"x {KEY}=[REDACTED:password] y",
        }
    ]


def test_what_a_later_processor_does_shows_as_before_and_after(
    enforcing: tuple[Processor, Mask],
) -> None:
    """Changed, dropped and made records; a record that stays is not a change."""

    def change(request: Message) -> None:
        records = records_of(request)
        records[0].attributes.extend(key_values({"venue": "x"}))
        made = records[1]
        made.time_unix_nano = 5
        made.body.string_value = "made"

    events = told(sight_in(chain_of(*enforcing, after=[Altering(change)]), log_batch("a", "b")))

    fates = {event["fields"]["body"]: event["fate"] for event in events}
    assert fates == {"a": "changed", "made": "made", "b": "dropped"}
    (changed,) = [event["changed"] for event in events if event["fate"] == "changed"]
    assert changed == [{"field": "attributes.venue", "before": None, "after": "x"}]
    assert [event["fate"] for event in told(sight_in(chain_of(*enforcing), log_batch("a")))] == [
        "kept"
    ]


@pytest.mark.parametrize(
    "section",
    ["{allow: {services: [gateway]}}", "{services: {gateway: {mode: observe}}}"],
)
def test_records_that_a_policy_lets_pass_are_withheld(tmp_path: Path, section: str) -> None:
    """Also where a later processor makes their secrets unrecognisable; the clean ones show."""
    secret = SECRETS[0]
    batch = log_batch("clean", f"{KEY}={secret}", service="gateway")
    for after in ([], [Altering(reverse_bodies)]):
        chain = tapped_chain(tmp_path, f"redaction: {section}", after=after)
        sights = sight_in(chain, batch)
        everything = json.dumps(told(sights))
        assert [sight.withheld for sight in sights] == [1]
        assert len(told(sights)) == 1
        assert secret not in everything
        assert secret[::-1] not in everything


def test_a_batch_that_can_not_be_told_apart_is_withheld_whole(tmp_path: Path) -> None:
    """Who moves records about behind a redaction that lets secrets pass shows none of them."""
    secret = SECRETS[0]

    def shift(request: Message) -> None:
        records = records_of(request)
        records[0].body.string_value = records[1].body.string_value[::-1]
        records[0].time_unix_nano = 1

    chain = tapped_chain(
        tmp_path, "redaction: {services: {gateway: {mode: observe}}}", after=[Altering(shift)]
    )
    (sight,) = sight_in(chain, log_batch("clean", f"{KEY}={secret}", service="gateway"))
    assert sight == Sight([], 2)


def test_a_redaction_that_observes_all_shows_only_what_is_clean(tmp_path: Path) -> None:
    """`serve` refuses such a tap; were it to run all the same, it would show no secret."""
    secret = SECRETS[0]
    chain = tapped_chain(tmp_path, "redaction: {mode: observe}")
    (sight,) = sight_in(chain, log_batch("clean", f"{KEY}={secret}"))
    assert [event["fields"]["body"] for event in told([sight])] == ["clean"]
    assert sight.withheld == 1


def test_what_a_later_processor_brings_is_masked_and_can_not_be_asked_for(
    enforcing: tuple[Processor, Mask],
) -> None:
    """A filter on a part of the secret finds as much as one on any other word: nothing."""
    secret = SECRETS[0]
    chain = chain_of(*enforcing, after=[set_body(f"got {KEY}={secret}")])
    sights = sight_in(chain, log_batch("a"))

    assert told(sights)[0]["fields"]["body"] == f"got {KEY}=[REDACTED:password]"
    assert len(told(sights, TapFilter(name="got"))) == 1
    for length in range(1, len(secret)):
        part = secret[:length].lower()
        as_shown = part in f"got {KEY}=[redacted:password]"
        assert bool(told(sights, TapFilter(name=part))) == as_shown


def test_counts_tell_nothing_of_a_filter(tmp_path: Path) -> None:
    """What is withheld does not depend on what a reader asks for."""
    chain = tapped_chain(tmp_path, "redaction: {services: {gateway: {mode: observe}}}")
    (sight,) = sight_in(chain, log_batch(f"{KEY}={SECRETS[0]}", "x", service="gateway"))
    assert asdict(sight)["withheld"] == 1
    assert told([sight], TapFilter(name=SECRETS[0].lower())) == []


def test_nothing_is_noted_while_nobody_looks(enforcing: tuple[Processor, Mask]) -> None:
    """And the batch is then the very one that came."""
    batch = log_batch("a")
    chain = chain_of(*enforcing)
    (left,) = chain.process(batch, NOW_NS)
    assert left is batch
    chain.is_watched = True
    (left,) = chain.process(batch, NOW_NS)
    assert left.sighting is not None
    assert left.payload == batch.payload
    assert left == batch
    assert "sighting" not in repr(left)


def test_a_value_of_a_body_that_is_no_text_is_searched_as_well(
    enforcing: tuple[Processor, Mask],
) -> None:
    """Nested values show as text, after they were masked."""
    request = logs(["x"])
    body = AnyValue()
    body.kvlist_value.values.extend(key_values({KEY: SECRETS[0], "k": "v"}))
    records_of(request)[0].body.CopyFrom(body)
    batch = Batch(Signal.LOGS, request.SerializeToString())
    (event,) = told(sight_in(chain_of(*enforcing), batch))
    assert event["fields"]["body"] == f"{{{KEY}: [REDACTED:password], k: v}}"
