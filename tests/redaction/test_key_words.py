"""A key's name is judged by its words, however it is spelt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.redaction.judge import Judge
from tapeline.redaction.key_words import DENIED, words_of
from tapeline.redaction.pack import load_pack

PACK = load_pack()
JUDGE = Judge(PACK)
DENYING = Judge(PACK, deny=["desk_code"])
NAME_RULES = [rule.id for rule in PACK.name_rules]

SECRETS = {
    "password": "password",
    "passwd": "password",
    "user.password": "password",
    "dbPassword": "password",
    "dbpassword": "password",
    "DB_PASSWORD": "password",
    "passwords": "password",
    "password2": "password",
    "password_hash": "password",
    "old-password": "password",
    "PassWord": "password",
    "ADMIN_PWD": "password",
    "mysql_pass": "password",
    "OK-ACCESS-PASSPHRASE": "passphrase",
    "mnemonic": "recovery-phrase",
    "seedPhrase": "recovery-phrase",
    "secret": "secret",
    "client_secret": "secret",
    "clientSecret": "secret",
    "clientsecret": "secret",
    "app.secrets": "secret",
    "token": "token",
    "x-auth-token": "access-token",
    "access_token": "access-token",
    "accessTokens": "access-token",
    "refreshtoken": "access-token",
    "token_value": "token",
    "api_key": "api-key",
    "apikey": "api-key",
    "apiKey": "api-key",
    "APIKey": "api-key",
    "api.key": "api-key",
    "API-KEYS": "api-key",
    "x-mbx-apikey": "api-key",
    "X-MBX-APIKEY": "api-key",
    "binanceApiKey": "api-key",
    "access_key": "api-key",
    "AWS_ACCESS_KEY_ID": "api-key",
    "AWS_SECRET_ACCESS_KEY": "secret-key",
    "APCA-API-SECRET-KEY": "secret-key",
    "signingKey": "secret-key",
    "private_key": "private-key-name",
    "rsa.privateKey": "private-key-name",
    "PRIVATEKEY": "private-key-name",
    "authorization": "authorization",
    "http.request.header.authorization": "authorization",
    "Proxy-Authorization": "authorization",
    "cookie": "cookie",
    "set-cookie": "cookie",
    "http.response.header.set_cookie": "cookie",
    "connection_string": "connection-string",
    "ConnectionStrings": "connection-string",
    "credential": "auth-value",
    "gcp.credentials": "auth-value",
    "X-Amz-Signature": "signature",
    "KC-API-SIGN": "signature",
}

BENIGN = [
    "token_address",
    "tokenAddress",
    "token0",
    "base_token",
    "next_page_token",
    "strategy_token_id",
    "bid_token_id",
    "bidtoken",
    "tokens_total",
    "max_tokens",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "tokenizer",
    "order_key",
    "partition_key",
    "idempotency_key",
    "instrument_key",
    "routing_key",
    "messaging.kafka.message.key",
    "messaging.rabbitmq.destination.routing_key",
    "monkey",
    "keyboard",
    "key",
    "public_key",
    "foreign_key",
    "cache.key",
    "password_length",
    "password.policy",
    "has_password",
    "is_secret",
    "k8s.secret.name",
    "aws.secretsmanager.secret.arn",
    "authorization_endpoint",
    "author",
    "authorized_by",
    "cookie_consent",
    "api_key_name",
    "compass",
    "passenger",
    "secretary",
    "assignee",
    "trading.order.id",
    "trading.account",
    "cl_ord_id",
    "exec_id",
    "tx_hash",
    "code.function.signature",
    "session.id",
    "",
    "___",
    "12345",
]


def _rule(name: str, before: str = "", judge: Judge = JUDGE) -> str | None:
    finding = judge.finding_of(name, before)
    return finding.rule if finding else None


@pytest.mark.parametrize(("name", "rule"), SECRETS.items())
def test_names_of_secrets_are_known_in_every_spelling(name: str, rule: str) -> None:
    """Snake, camel, kebab, dotted, header and glued spelling give the same rule."""
    assert _rule(name) == rule


@pytest.mark.parametrize("name", BENIGN)
def test_names_that_only_sound_like_secrets_are_let_be(name: str) -> None:
    """A word inside another word, or about a secret, is no secret."""
    assert _rule(name) is None


@pytest.mark.parametrize("template", ["{}", "{}_old", "x.{}", "{}-2", "prod_{}"])
@pytest.mark.parametrize(
    "words", ["password", "client secret", "api key", "private key", "access token"]
)
@pytest.mark.parametrize("spelling", ["snake", "kebab", "dotted", "camel", "pascal", "upper"])
def test_spelling_makes_no_difference(template: str, words: str, spelling: str) -> None:
    """Whatever joins a term's words, and whatever stands around it, it is found."""
    parts = words.split()
    spelt = {
        "snake": "_".join(parts),
        "kebab": "-".join(parts),
        "dotted": ".".join(parts),
        "camel": parts[0] + "".join(map(str.title, parts[1:])),
        "pascal": "".join(map(str.title, parts)),
        "upper": "_".join(parts).upper(),
    }[spelling]

    assert _rule(template.format(spelt)) in NAME_RULES


def test_the_name_above_completes_a_term() -> None:
    """`key` says nothing by itself, but below `api` it is an API key."""
    assert _rule("key") is None
    assert _rule("key", "binance.api") == "api-key"
    assert _rule("key", "order") is None
    assert _rule("count", "password") is None


def test_kept_names_are_no_secrets() -> None:
    """`keep` lets exactly that name be, in any spelling, and none that is longer."""
    judge = Judge(PACK, keep=["api_key"])

    assert _rule("apiKey", judge=judge) is None
    assert _rule("API-KEY", judge=judge) is None
    assert _rule("binance_api_key", judge=judge) == "api-key"


def test_denied_names_are_secrets() -> None:
    """`deny` adds a name, in any spelling, also with words before it."""
    judge = Judge(PACK, deny=["desk_code"])

    assert _rule("deskCode", judge=judge) == DENIED.rule
    assert _rule("emea.desk-code", judge=judge) == DENIED.rule
    assert _rule("desk_code_version", judge=judge) is None
    assert _rule("code", judge=judge) is None


def test_a_mask_in_a_name_is_no_part_of_it() -> None:
    """The rule's name in a mask would otherwise make a secret of what stands under it."""
    assert _rule("[REDACTED:password]") is None
    assert _rule("[REDACTED:jwt:0123456789abcdef].password") == "password"


@given(st.text(max_size=300))
def test_any_text_can_be_judged(name: str) -> None:
    """A name of whatever characters gives a rule or none, and its words are lower case."""
    assert _rule(name) in {None, *NAME_RULES}
    assert all(word == word.lower() for word in words_of(name))


def test_long_names_are_judged_by_their_end() -> None:
    """The meaning of a name is at its end, so padding in front of it hides nothing."""
    assert _rule("x." * 5000 + "password") == "password"


# The value looks like a secret by every strength that a rule may ask for.
VALUE = "Zq7hunter2x8Kd0wLmV4tR1s"


@given(name=st.sampled_from([*SECRETS, "deskCode"]), other=st.text(max_size=20))
def test_a_text_with_a_secret_name_is_never_passed_over(name: str, other: str) -> None:
    """The quick look at a whole text finds at least what judging its names finds."""
    assert DENYING.judge(f"{other} {name}={VALUE}")
