"""Reading recordings: every form, torn, damaged, mixed and hostile ones."""

import json
from io import BytesIO
from typing import BinaryIO, cast

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from otlp_client import logs
from recorded_files import FORMS, plainly_written, read_all
from sdk_requests import sdk_request
from strategies import requests
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.recorded.forms import MAX_MESSAGE_BYTES, Compression, Format, encoder
from tapeline.recorded.reader import Flaw, RecordedBatch, read_recording
from tapeline.recorded.signal_of import possible_signals

LOG = Batch(Signal.LOGS, logs(["one", "two"]).SerializeToString())
ALL = tuple(Batch(signal, sdk_request(signal).SerializeToString()) for signal in Signal)
PLAIN = Compression.NONE

forms = pytest.mark.parametrize(("form", "compression"), FORMS)


class OneByteAtATime:
    """A pipe whose writer is slow."""

    def __init__(self, content: bytes) -> None:
        self._source = BytesIO(content)

    def read(self, size: int) -> bytes:
        """Return at most one byte."""
        return self._source.read(min(size, 1))


def in_form(form: Format, compression: Compression, *batches: Batch) -> bytes:
    """Return a file that holds these batches."""
    return b"".join(plainly_written(batch, form, compression) for batch in batches)


def payloads_of(items: list[RecordedBatch]) -> list[tuple[Signal, bytes]]:
    """Return what matters of the batches."""
    return [(item.batch.signal, item.batch.payload) for item in items]


EXPECTED = [(batch.signal, batch.payload) for batch in ALL]


@forms
def test_a_file_may_hold_all_three_signals(form: Format, compression: Compression) -> None:
    """What was written is read, whatever the form, with number and offset."""
    pieces = [in_form(form, compression, batch) for batch in ALL]

    found, flaws = read_all(b"".join(pieces))

    assert flaws == []
    assert payloads_of(found) == EXPECTED
    assert [item.number for item in found] == [1, 2, 3]
    assert [item.offset_bytes for item in found] == [
        0,
        len(pieces[0]),
        len(pieces[0]) + len(pieces[1]),
    ]


@forms
@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_any_request_comes_back(
    form: Format, compression: Compression, signal: Signal, data: st.DataObject
) -> None:
    """The encoder writes what the plain rule says, and the reader gives it back."""
    batch = Batch(signal, data.draw(requests(signal)).SerializeToString())
    written = encoder(form, compression)(batch)

    assert written == plainly_written(batch, form, compression)
    if form is Format.JSON or possible_signals(batch.payload) == {signal}:
        found, flaws = read_all(written, signal)
        assert flaws == []
        assert [item.batch.request for item in found] == [batch.request]


@pytest.mark.parametrize("form", list(Format))
def test_a_file_compressed_as_a_whole_is_read(form: Format) -> None:
    """`zstd FILE` and the collector's native compression make streams, of one frame or several."""
    content = in_form(form, PLAIN, *ALL)
    compressor = zstandard.ZstdCompressor()
    skippable = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"
    parts = [content[begin : begin + 1000] for begin in range(0, len(content), 1000)]

    assert payloads_of(read_all(compressor.compress(content))[0]) == EXPECTED
    in_parts = b"".join(map(compressor.compress, parts))
    assert payloads_of(read_all(in_parts + skippable + compressor.compress(b""))[0]) == EXPECTED
    stream = compressor.compressobj()
    unsized = stream.compress(content) + stream.flush()
    assert payloads_of(read_all(unsized)[0]) == EXPECTED


def test_forms_may_follow_each_other() -> None:
    """The collector appends to a file in another form when its configuration has changed."""
    pieces = [in_form(*form, *ALL) for form in FORMS]
    streamed = zstandard.ZstdCompressor().compress(in_form(Format.JSON, PLAIN, *ALL))

    for order in (pieces, pieces[::-1], [streamed, *pieces], [*pieces, streamed, pieces[0]]):
        found, flaws = read_all(b"".join(order))

        assert flaws == []
        assert payloads_of(found) == EXPECTED * len(order)


def test_offsets_after_a_stream_are_those_of_the_file() -> None:
    """A message that follows a zstd stream is found where it is stored."""
    streamed = zstandard.ZstdCompressor().compress(in_form(Format.JSON, PLAIN, LOG))
    content = streamed + streamed + in_form(Format.PROTO, PLAIN, LOG, LOG)

    found, _ = read_all(content)

    begins = [item.offset_bytes for item in found]
    assert begins[:3] == [0, len(streamed), 2 * len(streamed)]
    assert content[begins[3] :] == in_form(Format.PROTO, PLAIN, LOG)


@forms
def test_how_the_bytes_arrive_does_not_matter(form: Format, compression: Compression) -> None:
    """A pipe that gives one byte at a time gives the same messages."""
    content = in_form(form, compression, *ALL)
    stream = zstandard.ZstdCompressor().compress(content)

    for source in (content, stream):
        slow = cast("BinaryIO", OneByteAtATime(source))
        found = [item for item in read_recording(slow) if isinstance(item, RecordedBatch)]
        assert payloads_of(found) == EXPECTED


@forms
def test_a_torn_end_is_named_and_what_is_whole_is_used(
    form: Format, compression: Compression
) -> None:
    """At whatever byte a file was cut, the messages before it are read and the offset is told."""
    first = in_form(form, compression, LOG)
    content = first + in_form(form, compression, LOG)

    for cut in range(len(first) + 1, len(content) - (form is Format.JSON)):
        found, flaws = read_all(content[:cut])
        assert payloads_of(found) == [(LOG.signal, LOG.payload)]
        assert [(flaw.number, flaw.offset_bytes, flaw.fatal) for flaw in flaws] == [
            (2, len(first), True)
        ]


def test_the_last_line_needs_no_newline() -> None:
    """An editor may have taken it away."""
    assert len(read_all(in_form(Format.JSON, PLAIN, LOG, LOG)[:-1])[0]) == 2


def test_a_stream_cut_anywhere_gives_what_is_whole() -> None:
    """A zstd stream that ends early is a flaw at its frame, after the messages that it gave."""
    whole = zstandard.ZstdCompressor().compress(in_form(Format.JSON, PLAIN, LOG))
    content = whole + whole

    for cut in range(len(whole) + 4, len(content)):
        found, flaws = read_all(content[:cut])
        assert payloads_of(found)[:1] == [(LOG.signal, LOG.payload)]
        assert [flaw.fatal for flaw in flaws] == [True]
        assert flaws[0].offset_bytes == len(whole)


def test_damaged_lines_are_left_out_and_the_next_one_is_read() -> None:
    """A line that is no request is a flaw by itself; blank lines and a byte order mark are none."""
    line = in_form(Format.JSON, PLAIN, LOG)
    content = b"\xef\xbb\xbf\r\n \n" + line + b"{\n\n\x00\x00\nnonsense\n[1]\n" + line

    found, flaws = read_all(content)

    assert [item.number for item in found] == [1, 6]
    assert [(flaw.number, flaw.fatal) for flaw in flaws] == [
        (2, False),
        (3, False),
        (4, False),
        (5, False),
    ]


@pytest.mark.parametrize("compression", list(Compression))
def test_a_damaged_message_is_left_out_and_the_next_one_is_read(compression: Compression) -> None:
    """Where the length is whole, a damaged content is a flaw of that message alone."""
    whole = in_form(Format.PROTO, compression, LOG)
    damaged = whole[:5] + b"\xff\xff\xff" + whole[8:]

    found, flaws = read_all(whole + damaged + whole)

    assert [item.number for item in found] == [1, 3]
    assert [(flaw.number, flaw.offset_bytes, flaw.fatal) for flaw in flaws] == [
        (2, len(whole), False)
    ]


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damage_raises_nothing(noise: bytes, at: int) -> None:
    """Whatever bytes stand in a file, reading ends and raises nothing."""
    for form in FORMS:
        content = in_form(*form, LOG, LOG)
        for damaged in (noise, content[:at] + noise, content[:at] + noise + content[at:]):
            for source in (damaged, zstandard.ZstdCompressor().compress(damaged)):
                items = list(read_recording(BytesIO(source)))
                assert all(isinstance(item, RecordedBatch | Flaw) for item in items)
                assert sum(isinstance(item, Flaw) and item.fatal for item in items) <= 1


@given(st.integers(MAX_MESSAGE_BYTES + 1, 2**32 - 1))
def test_a_huge_length_ends_the_reading(length: int) -> None:
    """A length above the limit is never waited for nor allocated."""
    head = length.to_bytes(4, "big")
    if head.startswith(b"{"):
        return
    found, flaws = read_all(in_form(Format.PROTO, PLAIN, LOG) + head + LOG.payload)

    assert len(found) == 1
    assert [flaw.fatal for flaw in flaws] == [True]
    assert "limit of 256 MiB" in flaws[0].reason


def test_a_length_that_says_more_than_there_is_takes_no_memory() -> None:
    """A file of a few bytes that claims 256 MiB is read in the memory of a few bytes."""
    _, flaws = read_all(MAX_MESSAGE_BYTES.to_bytes(4, "big") + b"\x0a")

    assert flaws == [
        Flaw(
            number=1,
            offset_bytes=0,
            reason="the file ends within a message: 1 of its 268435456 bytes are there",
            fatal=True,
        )
    ]


@pytest.mark.parametrize(
    "compressor",
    [zstandard.ZstdCompressor(), zstandard.ZstdCompressor(write_content_size=False)],
    ids=["sized", "unsized"],
)
def test_a_bomb_is_not_decompressed(compressor: zstandard.ZstdCompressor) -> None:
    """A message that would be longer than 256 MiB is a flaw, whatever its header says."""
    bomb = compressor.compress(bytes(MAX_MESSAGE_BYTES + 1))
    assert len(bomb) < 64 * 1024

    found, flaws = read_all(len(bomb).to_bytes(4, "big") + bomb + in_form(Format.PROTO, PLAIN, LOG))

    assert [item.number for item in found] == [2]
    assert "decompressed it is longer than 256 MiB" in flaws[0].reason


def test_a_frame_that_lies_about_its_size_is_a_flaw() -> None:
    """A header that claims 2^60 bytes is refused before anything is allocated."""
    lie = b"\x28\xb5\x2f\xfd\xe0" + (1 << 60).to_bytes(8, "little") + b"\x01\x00\x00"

    _, flaws = read_all(len(lie).to_bytes(4, "big") + lie)

    assert [flaw.fatal for flaw in flaws] == [False]


def test_an_endless_line_in_a_stream_ends_the_reading() -> None:
    """A stream may make terabytes of a few bytes: a line in it is not skipped to its end."""
    bomb = zstandard.ZstdCompressor().compress(b"{" + bytes(MAX_MESSAGE_BYTES + 1))

    found, flaws = read_all(bomb)

    assert found == []
    assert [flaw.fatal for flaw in flaws] == [True]


def test_something_after_a_frame_is_a_flaw() -> None:
    """A compressed message is one frame and nothing else."""
    for compress in (
        zstandard.ZstdCompressor().compress,
        zstandard.ZstdCompressor(write_content_size=False).compress,
    ):
        message = compress(LOG.payload) + b"x"
        _, flaws = read_all(len(message).to_bytes(4, "big") + message)
        assert [flaw.fatal for flaw in flaws] == [False]


def test_zeros_are_one_flaw() -> None:
    """What a disk that was cut off leaves is told once, not by the million."""
    content = in_form(Format.PROTO, PLAIN, LOG)

    found, flaws = read_all(content + bytes(4_000_000) + content)

    assert len(found) == 2
    assert [(flaw.number, flaw.offset_bytes, flaw.fatal) for flaw in flaws] == [
        (2, len(content), False)
    ]


def test_what_is_no_recording_says_so() -> None:
    """A text, a gzip file and nothing at all each get their answer."""
    assert read_all(b"") == ([], [])
    assert "not a recording" in read_all(b"hello, world\n")[1][0].reason
    assert "gzip" in read_all(b"\x1f\x8b\x08\x00 more of it")[1][0].reason
    assert read_all(json.dumps({"some": "object"}).encode() + b"\n")[1][0].fatal is False


def test_a_hint_settles_what_the_bytes_do_not() -> None:
    """A message without records is of the signal that was said, or a flaw where none was."""
    content = b"\x00\x00\x00\x02\x0a\x00"

    found, _ = read_all(content, Signal.METRICS)
    _, flaws = read_all(content)

    assert payloads_of(found) == [(Signal.METRICS, b"\x0a\x00")]
    assert "logs or traces or metrics" in flaws[0].reason


def test_a_hint_does_not_overrule_the_bytes() -> None:
    """What is of a known signal stays so, whatever was said."""
    found, _ = read_all(in_form(Format.PROTO, PLAIN, LOG), Signal.METRICS)

    assert found[0].batch.signal is Signal.LOGS


def test_fields_of_a_newer_otlp_are_kept() -> None:
    """What protobuf holds is handed on byte by byte, unknown fields too."""
    payload = LOG.payload + b"\xfa\x3f\x03new"

    found, flaws = read_all(in_form(Format.PROTO, PLAIN, Batch(Signal.LOGS, payload)))

    assert flaws == []
    assert found[0].batch.payload == payload
