"""Ids become placeholders, words stay words."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.cardinality.normalise import Named, Normaliser, OwnPattern

ALL = Normaliser(tuple(Named))
WITH_OWN = Normaliser((*Named, OwnPattern(r"ORD-[0-9A-Z]+", "order"), OwnPattern(r"@\w+$", "at")))
UUID = "9f86d081-884c-4d65-9a2f-eaa0c55ad015"

TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(
            "orders|123|/|-|_|.|9f86d081884c7d65|0x1f|facade|v2|{uuid}|{number}|{|}|ORD-1|@me|a|1|é|\udcff"
            f"|{UUID}".split("|")
        ),
        max_size=8,
    ).map("".join),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/orders/123/fills/9f86d081884c7d65", "/orders/{number}/fills/{hex}"),
        (f"/orders/{UUID}", "/orders/{uuid}"),
        (UUID.upper(), "{uuid}"),
        (f"urn:uuid:{UUID}", "urn:uuid:{uuid}"),
        (UUID.replace("-", ""), "{hex}"),
        ("0xDeadBeef", "{hex}"),
        ("wallet 0x52908400098527886E0F7030069857D2E4169EE7", "wallet {hex}"),
        ("deadbeefdeadbeef", "{hex}"),
        ("GET /a/1?x=22", "GET /a/{number}?x={number}"),
        ("order-12345", "order-{number}"),
        ("order_12345", "order_{number}"),
        ("10.0.0.1:8080", "{number}.{number}.{number}.{number}:{number}"),
        ("-5", "-{number}"),
        ("1234567890123456789", "{number}"),
    ],
)
def test_ids_become_placeholders(text: str, expected: str) -> None:
    """UUIDs, hex ids and numbers, wherever they stand in a value."""
    assert ALL.rewrite(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "orders", "BTC-USDT", "/api/v2/orders", "facade", "effaced", "defaced", "fabaceae",
        "face2face", "h264", "utf8", "b2b", "x86", "é12", "12é", "base64url", "{uuid}", "{number}",
        "/orders/{number}/fills/{hex}", "0x", "0xyz", "sha256:", "DeadBeef01",
    ],
)  # fmt: skip
def test_words_stay(text: str) -> None:
    """Words, versions, symbols and placeholders are returned as the same object."""
    assert ALL.rewrite(text) is text


@given(TEXTS)
def test_a_result_is_a_fixed_point(text: str) -> None:
    """Rewriting a result again changes nothing, and results are known to be such."""
    for normaliser in (ALL, WITH_OWN):
        result = normaliser.rewrite(text)

        assert normaliser.rewrite(result) == result
        if result != text:
            assert normaliser.may_be_result(result)


@given(st.text(st.characters(categories=["L", "P", "Z"]), max_size=40))
def test_texts_without_digits_stay(text: str) -> None:
    """Letters alone are words, up to 15 of them."""
    if max(map(len, text.replace("-", " ").split() or [""])) < 16:
        assert ALL.rewrite(text) is text


def test_only_what_is_named_is_rewritten() -> None:
    """A label's patterns are its own, and the order in which they are listed has no influence."""
    text = f"{UUID}/7"

    assert Normaliser((Named.NUMBER,)).rewrite("a/7") == "a/{number}"
    assert Normaliser((Named.UUID,)).rewrite(text) == "{uuid}/7"
    assert Normaliser((Named.NUMBER, Named.UUID)).rewrite(text) == "{uuid}/{number}"


def test_own_patterns_come_before_the_built_in_ones() -> None:
    """What is special goes first, wherever it is listed; its placeholder bears the given name."""
    assert WITH_OWN.rewrite("ORD-7F/1") == "{order}/{number}"
    assert WITH_OWN.rewrite("ORD-77") == "{order}"
    assert WITH_OWN.rewrite("mail @me") == "mail {at}"
    assert WITH_OWN.rewrite("\udcff ORD-é ORD-1") == "\udcff ORD-é {order}"
    assert WITH_OWN.placeholders == ("{order}", "{at}", "{uuid}", "{hex}", "{number}")


def test_what_would_be_rewritten_again_becomes_the_placeholder_alone() -> None:
    """An own pattern may find more beside its placeholder: the result is a fixed point still."""
    normaliser = Normaliser([OwnPattern(r"b\b", "x"), OwnPattern(r"1", "one")])

    assert normaliser.rewrite("b1") == "{x}"
    assert normaliser.rewrite("{x}") == "{x}"


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ([OwnPattern("[a-z]+", "word")], "match their own placeholder '{word}'"),
        ([Named.UUID, OwnPattern("u+", "x")], "match their own placeholder '{uuid}'"),
        ([OwnPattern("(", "x")], "is refused"),
        ([OwnPattern(r"(a)\1", "x")], "linear time"),
        ([OwnPattern("(?:a{1000}){1000}", "x")], "is refused"),
        ([OwnPattern("x*", "x")], "matches the empty text"),
        ([Named.UUID] * 17, "at most 16"),
    ],
)
def test_patterns_that_cannot_be_used_are_refused(
    patterns: list[Named | OwnPattern], message: str
) -> None:
    """The message says what is wrong with which pattern."""
    with pytest.raises(ValueError, match=message.replace("{", r"\{")):
        Normaliser(patterns)


@pytest.mark.parametrize("unit", ["a", "1", "0", "a1", "-", "12345678-", "0x", "f", "f/", "é", "{"])
def test_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    """Four times the text takes about four times the time; quadratic search would take sixteen."""

    def seconds(text: str) -> float:
        durations = []
        for _ in range(3):
            start = time.process_time()
            WITH_OWN.rewrite(text)
            durations.append(time.process_time() - start)
        return min(durations)

    short, long = unit * 10_000, unit * 40_000

    # What takes less than the clock's noise is linear enough.
    assert seconds(long) < 2.5 * 4 * max(seconds(short), 0.002)
