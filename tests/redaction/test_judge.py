"""The judge: names, values, encodings, what passes, and what it says about it."""

import base64
import json
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redaction_pack import default_judge, full_judge, full_pack
from tapeline.redaction.assignments import assignments
from tapeline.redaction.decoding import blobs
from tapeline.redaction.judge import OVERSIZE, Hit, Judge
from tapeline.redaction.pack import load_pack


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("a password=hunter2 b", "a password=[REDACTED:password] b"),
        ('{"password":"hun\\"ter2","a":1}', '{"password":"[REDACTED:password]","a":1}'),
        ('{"otp": 123456, "a": 1}', '{"otp": "[REDACTED:one-time-code]", "a": 1}'),
        (
            '{"passwords": ["a1b2", {"x": 1}], "a": 1}',
            '{"passwords": "[REDACTED:password]", "a": 1}',
        ),
        ("?a=1&passphrase=x%20y&b=2", "?a=1&passphrase=[REDACTED:passphrase]&b=2"),
        ("Server=d;Password=a b c;Uid=u", "Server=d;Password=[REDACTED:password];Uid=u"),
        ("<password>hunter2</password>", "<password>[REDACTED:password]</password>"),
        (
            "<a:Password x='1'>hunter2</a:Password>",
            "<a:Password x='1'>[REDACTED:password]</a:Password>",
        ),
        (
            '<add key="dbPassword" value="hunter2"/>',
            '<add key="dbPassword" value="[REDACTED:password]"/>',
        ),
        ('put("client_secret", "a1b2c3d4e5")', 'put("client_secret", "[REDACTED:secret]")'),
        ("run --password hunter2 --venue X", "run --password [REDACTED:password] --venue X"),
        ('var password string = "hunter2"', 'var password string = "[REDACTED:password]"'),
        ("password: str = 'hunter2'", "password: str = '[REDACTED:password]'"),
        ("password: |\n  hunter2\nuser: x", "password: |\n  [REDACTED:password]\nuser: x"),
        ("Cookie: a=b1; c=d2\nHost: h", "Cookie: [REDACTED:cookie]\nHost: h"),
        ("Api Key: abcdef123456", "Api Key: [REDACTED:api-key]"),
        (
            "8=FIX.4.4\x0135=A\x01554=tiger\x0110=1\x01",
            "8=FIX.4.4\x0135=A\x01554=[REDACTED:fix-credentials]\x0110=1\x01",
        ),
    ],
)
def test_a_value_is_masked_and_what_is_around_it_kept(text: str, redacted: str) -> None:
    """Only the value goes, in every syntax in which a name and a value meet."""
    assert default_judge().redact(text) == redacted


@pytest.mark.parametrize(
    ("key", "is_secret"),
    [
        ("password", True),
        ("db.userPassword", True),
        ("X-MBX-APIKEY", True),
        ("http.request.header.authorization", True),
        ("okx-access-passphrase", True),
        ("clientSecret", True),
        ("kraken.private_key", True),
        ("message", False),
        ("token_address", False),
        ("order_key", False),
        ("partition_key", False),
        ("messaging.kafka.message.key", False),
        ("idempotency_key", False),
        ("monkey", False),
        ("public_key", False),
        ("strategy_token_id", False),
        ("password_policy", False),
    ],
)
def test_an_attribute_is_judged_by_its_name(key: str, is_secret: bool) -> None:  # noqa: FBT001
    """A value with nothing about it is a secret under the name of one, and else is not."""
    hits = default_judge().judge("a1b2c3d4e5f6", key)
    assert bool(hits) is is_secret
    assert all((hit.start, hit.end) == (0, 12) for hit in hits)


@pytest.mark.parametrize(
    "value",
    ["", " ", "${DB_PASSWORD}", "<password>", "****", "[REDACTED]", "null", "false", "$(cat /x)"],
)
def test_what_stands_for_no_secret_passes(value: str) -> None:
    """Blanks, templates and masks of others say nothing."""
    assert default_judge().judge(f'{{"password": "{value}"}}') == ()
    assert default_judge().judge(value, "password") == ()


def _quoted(text: str) -> str:
    return json.dumps({"m": text})


def _percent(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _base64(text: str) -> str:
    return f"<<{base64.b64encode(text.encode()).decode()}>>"


def _hex(text: str) -> str:
    return f"<<{text.encode().hex()}>>"


def _codes(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


ENCODINGS = [_quoted, _percent, _base64, _hex, _codes]


@pytest.mark.parametrize("outer", ENCODINGS)
@pytest.mark.parametrize("inner", ENCODINGS)
def test_a_secret_is_found_through_two_encodings(outer: object, inner: object) -> None:
    """In whatever order they lie over each other."""
    assert callable(outer)
    assert callable(inner)
    text = outer(inner('{"user":"desk","password":"hunter-2-tiger"}'))
    hits = default_judge().judge(text)
    assert hits
    left = text[: hits[0].start] + text[hits[-1].end :]
    assert not default_judge().judge(left)
    assert len(left) < len(text)


def test_depth_bounds_the_encodings_that_are_read() -> None:
    """No layer is read at depth 0, and one at depth 1."""
    text = _base64("password=hunter2 for the desk")
    assert not Judge(load_pack(), depth=0).judge(text)
    assert Judge(load_pack(), depth=1).judge(text)
    assert not Judge(load_pack(), depth=1).judge(_base64(text))


def test_unseen_and_styled_characters_hide_nothing() -> None:
    """Zero-width characters inside a name or a value, and full-width signs."""
    judge = default_judge()
    assert judge.redact("pass\u200bword=hun\u2060ter2 x") == "pass\u200bword=[REDACTED:password] x"
    assert judge.redact("password\uff1dhunter2 x") == "password\uff1d[REDACTED:password] x"
    assert judge.redact("\U0001d429assword=hunter2") == "\U0001d429assword=[REDACTED:password]"
    assert judge.redact("\U0001f600 password=p\u00e4ss\u20ac w") == (
        "\U0001f600 password=[REDACTED:password] w"
    )


def test_lone_surrogates_are_judged_like_any_odd_character() -> None:
    """Bytes that were no UTF-8 arrive so, and neither fail nor hide anything."""
    text = "\udcff password=hunter2\udcfe x"
    assert default_judge().redact(text) == "\udcff password=[REDACTED:password] x"
    assert default_judge().judge("x", "k\udcff") == ()


def test_cut_off_secrets_are_secrets() -> None:
    """A PEM without its end, a JWT without its signature, a string without its quote."""
    judge = default_judge()
    pem = "-----BEGIN PRIVATE KEY-----\n" + "MIIabcdefghij0123456789" * 3
    assert "MII" not in judge.redact(pem)
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    assert judge.redact(f"t {header}.eyJzdWI") == "t [REDACTED:jwt]"
    assert judge.redact('{"password":"hunte') == '{"password":"[REDACTED:password]'


def test_an_overlong_text_is_masked_beyond_what_is_read() -> None:
    """Nothing goes on that was not read."""
    judge = Judge(load_pack(), max_characters=100)
    text = "password=hunter2 " + "a" * 200
    assert judge.judge(text) == (Hit(9, 16, "password"), Hit(100, 217, OVERSIZE))
    assert judge.redact(text).endswith("a[REDACTED:oversize]")


def test_keep_deny_and_allowed_values() -> None:
    """The configuration's own names and values win over the rules."""
    judge = Judge(
        load_pack(), keep=["risk password"], deny=["desk code"], allow_values=["hunter[0-9]"]
    )
    assert judge.judge("risk_password=tiger9") == ()
    assert [hit.rule for hit in judge.judge("emea.deskCode=zz")] == ["denied-name"]
    assert judge.judge("password=hunter2") == ()
    assert judge.judge("password=hunter22")


def test_optional_rules_check_digits() -> None:
    """A card number is told from an order id by its check digit, an IBAN likewise."""
    judge = full_judge()
    assert [hit.rule for hit in judge.judge("pan 4111111111111111")] == ["card-number"]
    assert judge.judge("order 4111111111111112 at 1700000000000") == ()
    assert [hit.rule for hit in judge.judge("to DE89370400440532013000")] == ["iban"]


def test_explain_says_what_let_a_value_pass() -> None:
    """Each candidate is told with its rule, its place and the filter that decided."""
    secret, passed = default_judge().explain("password=hunter2 secret=${X}")
    assert (secret.rule, secret.start, secret.end, secret.is_secret) == ("password", 9, 16, True)
    assert (passed.rule, passed.is_secret, passed.reason) == ("secret", False, "is a placeholder")
    (inner,) = default_judge().explain(_base64("password=hunter2 of desk"))
    assert inner.through == ("base64 or hex",)


def test_judgement_and_explanation_agree() -> None:
    """A text is masked exactly where the explanation says so."""
    for rule in full_pack().value_rules:
        for text in (*rule.samples()[0], *rule.samples()[1]):
            said = any(item.is_secret for item in full_judge().explain(text))
            assert said is bool(full_judge().judge(text))


def test_a_mask_is_no_secret_and_a_strangers_is_text() -> None:
    """Only masks of known rules are left alone."""
    judge = default_judge()
    assert judge.judge("password=[REDACTED:password] [REDACTED:jwt:0123456789abcdef]") == ()
    assert judge.judge('{"password":"[REDACTED:hunter2]"}') != ()
    assert judge.judge("hunter2", "password [REDACTED:password]") != ()


_PIECES = st.one_of(
    st.sampled_from(
        [
            sample
            for rule in (*full_pack().value_rules, *full_pack().name_rules)
            for samples in rule.samples()
            for sample in samples
        ]
    ),
    st.sampled_from(
        [
            "=",
            ": ",
            '"',
            "'",
            "\\",
            '\\"',
            "%3D",
            "&",
            "?",
            ";",
            "|",
            "\x01",
            "\n",
            " ",
            "{",
            "}",
            "[",
            "]",
            "<",
            ">",
            "</",
            "/",
            "@",
            "://",
            "--",
            "${",
            "[REDACTED:jwt]",
            "[REDACTED:",
            ",",
        ]
    ),
    st.sampled_from(sorted({k for rule in full_pack().value_rules for k in rule.keywords})),
    st.sampled_from(
        [name.replace(" ", "_") for rule in full_pack().name_rules for name in rule.names]
    ),
    st.text(max_size=12),
    st.text("abcdefXYZ0123456789+/=_-.", max_size=40),
)
_TEXTS = st.lists(_PIECES, max_size=8).map("".join)


@settings(max_examples=400, deadline=None)
@given(text=_TEXTS, key=st.sampled_from([None, "message", "password", "x.token"]))
def test_redacting_again_changes_nothing(text: str, key: str | None) -> None:
    """What was redacted holds nothing that a second redaction would find."""
    once = full_judge().redact(text, key)
    assert full_judge().redact(once, key) == once


@settings(max_examples=400, deadline=None)
@given(text=_TEXTS)
def test_the_prefilter_leaves_out_no_rule(text: str) -> None:
    """All rules without the prefilter find what those find that it lets through."""
    judge = full_judge()
    plain = text.encode("ascii", "replace").decode()
    data = plain.encode()
    called = judge._prefilter.rules_for(data)
    candidates = judge.matcher.candidates
    every = list(candidates(plain, data, "", range(judge.matcher.count)))
    assert (
        list(candidates(plain, data, "", called - {judge._name_number, judge._blob_number}))
        == every
    )
    if judge._name_number not in called:
        assert list(assignments(plain, judge._names, [])) == []
    if judge._blob_number not in called:
        assert list(blobs(plain)) == []


@settings(max_examples=300, deadline=None)
@given(text=_TEXTS, key=st.sampled_from([None, "message"]))
def test_hits_are_pieces_of_the_text_in_order(text: str, key: str | None) -> None:
    """They are not empty, do not overlap, and lie within the text."""
    position = 0
    for hit in full_judge().judge(text, key):
        assert position <= hit.start < hit.end <= len(text)
        position = hit.end
