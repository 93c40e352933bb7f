"""A name in a text gives its value away, and the value goes exactly as far as its writer meant."""

import re
from collections.abc import Iterator

import pytest

from tapeline.redaction.judge import Judge
from tapeline.redaction.pack import load_pack

JUDGE = Judge(load_pack())
MASK = re.compile(r"\[REDACTED:([a-z0-9-]+)\]")

SECRET = "Zq7hunter2"
SIGNATURE = "5f3c" * 16


def _masked(text: str) -> str:
    """Return the redacted text with each mask as its rule in angle brackets."""
    return MASK.sub(r"<\1>", JUDGE.redact(text))


def _cases() -> Iterator[tuple[str, str]]:
    """Yield a text with `{}` for the secret, and what is left of it."""
    # Names and values in plain text
    yield "login password={} user=joe", "login password=<password> user=joe"
    yield "password={}", "password=<password>"
    yield "PASSWORD = {}; next", "PASSWORD = <password>; next"
    yield "api_key: {}, symbol: BTC", "api_key: <api-key>, symbol: BTC"
    yield "User(name=joe, password={})", "User(name=joe, password=<password>)"
    yield "dict(token='{}{}', n=1)", "dict(token='<token>', n=1)"
    yield "{{'token': b'{}{}', 'n': 1}}", "{{'token': b'<token>', 'n': 1}}"
    yield 'config["password"] = "{}"', 'config["password"] = "<password>"'
    yield "'password' => '{}'", "'password' => '<password>'"
    yield "password -> {}", "password -> <password>"
    yield "secret := `{}`", "secret := `<secret>`"
    yield "curl --password {} -v", "curl --password <password> -v"
    yield "curl --api-key={} -v", "curl --api-key=<api-key> -v"
    yield "api key: {} ok", "api key: <api-key> ok"
    # At the end of a sentence
    yield "login_credentials={}.", "login_credentials=<credentials-pair>."
    yield "password={}.", "password=<password>"
    yield "password={}\\nnext line", "password=<password>\\nnext line"
    # JSON in a text
    yield '{{"password":"{}","n":1}}', '{{"password":"<password>","n":1}}'
    yield '{{"password" : "a\\"{}" , "n":1}}', '{{"password" : "<password>" , "n":1}}'
    yield '{{"password":\n  "{}"}}', '{{"password":\n  "<password>"}}'
    yield '{{\\"secret\\":\\"{}\\",\\"n\\":1}}', '{{\\"secret\\":\\"<secret>\\",\\"n\\":1}}'
    yield (
        '{{\\\\\\"secret\\\\\\":\\\\\\"{}\\\\\\"}}',
        '{{\\\\\\"secret\\\\\\":\\\\\\"<secret>\\\\\\"}}',
    )
    yield '{{"secret":{{"value":"{}"}},"n":1}}', '{{"secret":"<secret>","n":1}}'
    yield (
        '{{"tokens":1,"api_keys":["}}","{}"],"n":1}}',
        '{{"tokens":1,"api_keys":"<api-key>","n":1}}',
    )
    yield '{{"secret":"cut {}', '{{"secret":"<secret>'
    yield '{{"secret":["cut {}', '{{"secret":"<secret>"'
    # URLs and forms
    yield "GET /v1?api_key={}&x=1 200", "GET /v1?api_key=<market-data-query-key>&x=1 200"
    yield "/cb#access_token=a,b;{}&s=1", "/cb#access_token=<access-token>&s=1"
    yield "user=joe&password={}", "user=joe&password=<password>"
    yield "x=1&signature=" + SIGNATURE + "{}&y=2", "x=1&signature=<signed-url>&y=2"
    yield "?sig=" + SIGNATURE + "{}%3D", "?sig=<signed-url>"
    # Headers
    yield "Authorization: Bearer {}\r\nHost: x", "Authorization: <bearer-token>\r\nHost: x"
    yield "authorization=Bearer {} user=joe", "authorization=<bearer-token> user=joe"
    yield "-H 'Authorization: Custom {}' x", "-H 'Authorization: <authorization>' x"
    yield 'Authorization: Digest u="a", response="{}"', "Authorization: <authorization>"
    yield "Cookie: a=b; sid={}; HttpOnly\nX: y", "Cookie: <cookie>\nX: y"
    yield "X-MBX-APIKEY: {}", "X-MBX-APIKEY: <api-key>"
    yield "OK-ACCESS-PASSPHRASE: horse {} staple", "OK-ACCESS-PASSPHRASE: <passphrase>"
    # Connection strings
    yield "Server=x;Password=a b {};Database=y", "Server=x;Password=<password>;Database=y"
    yield (
        "AccountName=x;AccountKey=" + SIGNATURE + "{}==",
        "AccountName=x;AccountKey=<azure-account-key>",
    )
    yield "connection_string=Server=x;Pwd={}", "connection_string=<connection-string>"


CASES = [(text.replace("{{", "\0").replace("}}", "\1"), masked) for text, masked in _cases()]
PLAIN = str.maketrans({"\0": "{", "\1": "}"})


@pytest.mark.parametrize(("text", "masked"), CASES)
def test_the_value_is_masked_and_the_text_around_it_kept(text: str, masked: str) -> None:
    """Each way to write a pair is read to its value's end, and no further."""
    written = text.replace("{}", SECRET).translate(PLAIN)
    assert _masked(written) == masked.replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("your otp: 464618.", "your otp: <one-time-code>."),
        ("otp=464618! Enter it now", "otp=<one-time-code>! Enter it now"),
        ("is cvv=444?", "is cvv=<card-code>?"),
        ("otp=464618...", "otp=464618..."),
        ("cvv=444.25", "cvv=444.25"),
    ],
)
def test_a_sentence_may_end_with_a_value(text: str, masked: str) -> None:
    """Its full stop is no part of a code; more than one, or what goes on, is."""
    assert _masked(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "order_key=4f6c partition_key: 12 idempotency_key=9 instrument_key=BTC",
        "token_address=0xabc tokens_total=12 public_key=ssh-ed25519",
        "messaging.kafka.message.key=cl-1 monkey=wukong",
        "password= ",
        "password=",
        '"password": ""',
        '"password": null, "token": None',
        "time=12:30:01.123 host:port a::b https://x",
        "signature=short sig=v1",
        "the password was wrong",
        "Primary key: 12, foreign key: 13",
        "a == b != c -> d => e := f",
        "--verbose --max-tokens 12",
    ],
)
def test_pairs_without_a_secret_are_let_be(text: str) -> None:
    """No name of a secret, or nothing under it: nothing is masked."""
    assert _masked(text) == text


def test_what_is_masked_already_is_no_value() -> None:
    """A mask is neither masked again nor read as a name and its value."""
    text = "password=[REDACTED:password] [REDACTED:token:0123456789abcdef] x"

    assert JUDGE.redact(text) == text
