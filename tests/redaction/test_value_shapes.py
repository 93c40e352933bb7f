"""Secrets are found by their shape, exactly as far as they go, in time linear in the text."""

import base64
import re

import pytest

from fake_secrets import SHAPES, jwt, pem, seeded
from tapeline.redaction.judge import Judge
from tapeline.redaction.pack import load_pack

JUDGE = Judge(load_pack())
MASK = re.compile(r"\[REDACTED:([a-z0-9-]+)\]")


def _masked(text: str) -> str:
    """Return the redacted text with each mask as its rule in angle brackets."""
    return MASK.sub(r"<\1>", JUDGE.redact(text))


@pytest.mark.parametrize("around", ["{}", "before {} after", '"{}"', "k={}, x", "({})", "\t{}\n"])
@pytest.mark.parametrize("rule", SHAPES)
def test_a_secret_is_masked_and_the_text_around_it_kept(rule: str, around: str) -> None:
    """What is masked is the secret: no character more, none less."""
    template, make = SHAPES[rule]
    whole = around.format(template)

    assert _masked(whole.format(make(seeded(1)))) == whole.format(f"<{rule}>")


def test_several_secrets_in_one_text_are_all_masked() -> None:
    """One find does not end the search."""
    texts = [template.format(make(seeded(2))) for template, make in SHAPES.values()]

    masked = _masked(" , ".join(texts))

    assert all(f"<{rule}>" in masked for rule in SHAPES)
    assert "Zq7" not in masked


@pytest.mark.parametrize("length", [14, 60])
def test_a_private_key_without_its_end_is_masked_to_the_end(length: int) -> None:
    """A key that a length limit cut off is a key still."""
    whole = pem(seeded(3))
    begin = whole.index("\n")

    assert _masked("key: " + whole[: begin + length]) == "key: <private-key>"


def test_text_after_a_private_key_is_kept() -> None:
    """A key that has its end ends there; a second one is found too."""
    key = pem(seeded(3))

    assert _masked(f"a {key} b {key} c") == "a <private-key> b <private-key> c"


def test_a_public_key_is_no_secret() -> None:
    """Only private keys are masked."""
    text = pem(seeded(3)).replace("PRIV" + "ATE", "PUBLIC")

    assert _masked(text) == text


def test_a_token_cut_off_before_its_signature_is_masked() -> None:
    """The claims of a JSON Web Token are worth hiding without a signature."""
    header, claims, _ = jwt(seeded(4)).split(".")

    assert _masked(f"got {header}.{claims[:8]}") == "got <jwt>"
    assert _masked(f"session.{header}.{claims}.") == "session.<jwt>"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:{}@cache:6379/0", "redis://:<url-userinfo>@cache:6379/0"),
        ("postgres://desk:a{}@b@db/x", "postgres://desk:<url-userinfo>@db/x"),
        ("mongodb+srv://u:a/{}@h/x", "mongodb+srv://u:<url-userinfo>@h/x"),
        ("https://{}@git.example/x", "https://<url-token>@git.example/x"),
        ("https://{}:x-oauth-basic@git/", "https://<url-token>:<url-userinfo>@git/"),
        ("a://b:{}@c,d://e:{}@f", "a://b:<url-userinfo>@c,d://e:<url-userinfo>@f"),
    ],
)
def test_userinfo_is_masked_up_to_its_host(text: str, masked: str) -> None:
    """Also a password that holds what should have been percent-encoded."""
    assert _masked(text.replace("{}", "Zq7" + "x1" * 10)) == masked


@pytest.mark.parametrize(
    "text",
    [
        "http://exchange.example:8080/book?reply=a@b.example",
        "https://exchange.example/@maker/12",
        "ssh://git@git.example/desk/repo.git",
        "http://[2001:db8::1]:4317/",
        "see http://a:80 and b@c",
        "Basic settings loaded",
        "basic auth is off",
        "bearer authentication failed",
        "Bearer of bad news",
        "a.b.c.d.e.f.g.h.i.j.k",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "4f6c2f1e-9d0b-4f55-8d5e-0c7d6a3c2b1a",
        "US0378331005 5493001KJTIIGC8Y1R12",
        "1763683200000000000 2026-11-21T05:00:02.123456Z",
        "e83c5163316f89bfbde7d9ab23ca2e25604af290",
        "task-runner sk-learn ask-price-1234567890123456789012",
        "MALAKIATRADINGCOMPANYXX AKIA",
        "fills/BTC-USDT/orders.partition-3",
    ],
)
def test_identifiers_and_prose_are_let_be(text: str) -> None:
    """What telemetry of trading is full of is not taken for a secret."""
    assert _masked(text) == text


def test_basic_is_decoded_before_it_is_believed() -> None:
    """Only base64 of printable text with a colon is a user and a password."""
    no_colon = base64.b64encode(b"no colon in here").decode()
    binary = base64.b64encode(b"\x00\x01:\x02\x03\x04").decode()

    assert _masked(f"Basic {no_colon} Basic {binary}") == f"Basic {no_colon} Basic {binary}"
