"""A key's name is judged by its words, however it is spelt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.redaction.key_names import DENIED_NAME, NAME_RULES, KeyNames, words_of

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
    "mnemonic": "recovery_phrase",
    "seedPhrase": "recovery_phrase",
    "secret": "secret",
    "client_secret": "secret",
    "clientSecret": "secret",
    "clientsecret": "secret",
    "app.secrets": "secret",
    "token": "token",
    "x-auth-token": "token",
    "access_token": "token",
    "accessTokens": "token",
    "refreshtoken": "token",
    "token_value": "token",
    "api_key": "api_key",
    "apikey": "api_key",
    "apiKey": "api_key",
    "APIKey": "api_key",
    "api.key": "api_key",
    "API-KEYS": "api_key",
    "x-mbx-apikey": "api_key",
    "X-MBX-APIKEY": "api_key",
    "binanceApiKey": "api_key",
    "access_key": "access_key",
    "AWS_ACCESS_KEY_ID": "access_key",
    "AWS_SECRET_ACCESS_KEY": "access_key",
    "APCA-API-SECRET-KEY": "secret_key",
    "signingKey": "secret_key",
    "private_key": "private_key",
    "rsa.privateKey": "private_key",
    "PRIVATEKEY": "private_key",
    "authorization": "authorization",
    "http.request.header.authorization": "authorization",
    "Proxy-Authorization": "authorization",
    "cookie": "cookie",
    "set-cookie": "cookie",
    "http.response.header.set_cookie": "cookie",
    "connection_string": "connection_string",
    "ConnectionStrings": "connection_string",
    "credential": "credential",
    "gcp.credentials": "credential",
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


@pytest.mark.parametrize(("name", "rule"), SECRETS.items())
def test_names_of_secrets_are_known_in_every_spelling(name: str, rule: str) -> None:
    """Snake, camel, kebab, dotted, header and glued spelling give the same rule."""
    assert KeyNames().rule_of(name, "") == rule


@pytest.mark.parametrize("name", BENIGN)
def test_names_that_only_sound_like_secrets_are_let_be(name: str) -> None:
    """A word inside another word, or about a secret, is no secret."""
    assert KeyNames().rule_of(name, "") is None


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

    assert KeyNames().rule_of(template.format(spelt), "") in NAME_RULES


def test_the_name_above_completes_a_term() -> None:
    """`key` says nothing by itself, but below `api` it is an API key."""
    names = KeyNames()

    assert names.rule_of("key", "") is None
    assert names.rule_of("key", "binance.api") == "api_key"
    assert names.rule_of("key", "order") is None
    assert names.rule_of("count", "password") is None


def test_kept_names_are_no_secrets() -> None:
    """`keep` lets exactly that name be, in any spelling, and none that is longer."""
    names = KeyNames(keep=["api_key"])

    assert names.rule_of("apiKey", "") is None
    assert names.rule_of("API-KEY", "") is None
    assert names.rule_of("binance_api_key", "") == "api_key"


def test_denied_names_are_secrets() -> None:
    """`deny` adds a name, in any spelling, also with words before it."""
    names = KeyNames(deny=["desk_code"])

    assert names.rule_of("deskCode", "") == DENIED_NAME
    assert names.rule_of("emea.desk-code", "") == DENIED_NAME
    assert names.rule_of("desk_code_version", "") is None
    assert names.rule_of("code", "") is None


@given(st.text(max_size=300))
def test_any_text_can_be_judged(name: str) -> None:
    """A name of whatever characters gives a rule or none, and its words are lower case."""
    assert KeyNames().rule_of(name, "") in {None, *NAME_RULES}
    assert all(word == word.lower() for word in words_of(name))


def test_long_names_are_judged_by_their_end() -> None:
    """The meaning of a name is at its end, so padding in front of it hides nothing."""
    assert KeyNames().rule_of("x." * 5000 + "password", "") == "password"


@given(name=st.sampled_from([*SECRETS, "deskCode"]), other=st.text(max_size=20))
def test_a_text_with_a_secret_name_is_never_passed_over(name: str, other: str) -> None:
    """The quick look at a whole text finds at least what judging each of its names finds."""
    names = KeyNames(deny=["desk_code"])

    assert names.may_occur_in(f"{other}{name}={other}".lower())
    assert names.rule_of(other, "") is None or names.may_occur_in(other.lower())
