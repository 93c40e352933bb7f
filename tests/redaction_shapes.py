"""Telemetry of trading systems as it carries secrets, and what only looks like one.

Each shape makes a text and the part of it that must not be left; everything is made up anew from
the seed, so nothing here is a token.
"""

import base64
import json
import random
import string
import urllib.parse
from collections.abc import Callable

__all__ = ["BENIGN", "SHAPES", "Sample"]

Sample = tuple[str, str, str]
"""The attribute's key, the text, and the secret in it as it stands there."""

_ALNUM = string.ascii_letters + string.digits
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _of(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choices(alphabet, k=length))


def _alnum(rng: random.Random, length: int) -> str:
    return _of(rng, _ALNUM, length)


def _hex(rng: random.Random, length: int) -> str:
    return _of(rng, "0123456789abcdef", length)


def _upper(rng: random.Random, length: int) -> str:
    return _of(rng, string.ascii_uppercase + string.digits, length)


def _base64(rng: random.Random, size: int) -> str:
    return base64.b64encode(rng.randbytes(size)).decode()


def _uuid(rng: random.Random) -> str:
    digits = _hex(rng, 32)
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _human(rng: random.Random) -> str:
    word = rng.choice(["hunter", "tiger", "Desk", "s3cret", "Falcon", "market", "blue-sky"])
    return word + _of(rng, string.digits, 2) + rng.choice(["", "!", "#"])


def _jwt(rng: random.Random) -> str:
    def part(content: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    signature = base64.urlsafe_b64encode(rng.randbytes(32)).decode().rstrip("=")
    claims = part({"sub": _alnum(rng, 8), "exp": rng.randrange(10**9)})
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{claims}.{signature}"


def _pem(rng: random.Random, kind: str = "EC ") -> str:
    return f"-----BEGIN {kind}PRIVATE KEY-----\n" + "\n".join(_base64(rng, 48) for _ in range(3))


Shape = Callable[[random.Random], Sample]


def _shape(template: str, secret: Callable[[random.Random], str], key: str = "message") -> Shape:
    def make(rng: random.Random) -> Sample:
        value = secret(rng)
        return key, template.replace("@@", value), value

    return make


def _fix(tag: int, separator: str) -> Shape:
    def make(rng: random.Random) -> Sample:
        secret = _human(rng)
        fields = ["8=FIX.4.4", "9=112", "35=A", "34=1", "49=DESK", "56=VENUE", "98=0", "108=30"]
        fields.append(f"{tag}={secret}")
        return "message", separator.join([*fields, "10=127", ""]), secret

    return make


def _fix_raw(rng: random.Random) -> Sample:
    secret = _base64(rng, 32)
    text = f"8=FIX.4.2|35=A|49=CB|95={len(secret)}|96={secret}|98=0|10=001|"
    return "message", text, secret


def _basic(rng: random.Random) -> Sample:
    encoded = base64.b64encode(f"desk:{_human(rng)}".encode()).decode()
    return "message", f"GET /orders Authorization: Basic {encoded}", encoded


def _json_in_json(rng: random.Random) -> Sample:
    secret = _alnum(rng, 24)
    inner = json.dumps({"symbol": "BTCUSDT", "apiKey": secret, "qty": 1})
    return "message", json.dumps({"level": "info", "request": inner}), secret


def _json_in_json_in_json(rng: random.Random) -> Sample:
    secret = _human(rng)
    inner = json.dumps({"a": json.dumps({"user": "desk", "password": secret})})
    return "message", json.dumps({"payload": inner}), secret


def _url_encoded(rng: random.Random) -> Sample:
    secret = _alnum(rng, 32)
    text = urllib.parse.quote(f"api_key={secret}&side=BUY", safe="")
    return "url.query", f"redirect=https%3A%2F%2Fh%2Fx%3F{text}", secret


def _base64_json(rng: random.Random) -> Sample:
    encoded = base64.b64encode(json.dumps({"password": _human(rng), "u": "desk"}).encode()).decode()
    return "message", f"payload {encoded} sent", encoded


def _hex_encoded(rng: random.Random) -> Sample:
    encoded = f"client_secret={_alnum(rng, 32)}".encode().hex()
    return "message", f"frame {encoded}", encoded


def _zero_width(rng: random.Random) -> Sample:
    secret = _alnum(rng, 32)
    return "message", f"api\u200b_key={secret[:9]}\u200b{secret[9:]} ok", secret[9:]


def _full_width(rng: random.Random) -> Sample:
    secret = _human(rng)
    return "message", f"login password\uff1d{secret} ok", secret


def _truncated_jwt(rng: random.Random) -> Sample:
    token = _jwt(rng)
    token = token[: rng.randrange(30, 60)]
    return "message", f"upgrade failed for {token}", token


def _truncated_pem(rng: random.Random) -> Sample:
    pem = _pem(rng)
    return "message", f"loaded key {pem}", pem.split("\n")[1]


def _escaped_pem(rng: random.Random) -> Sample:
    pem = _pem(rng) + "\n-----END EC PRIVATE KEY-----\n"
    text = json.dumps({"name": f"organizations/{_uuid(rng)}/apiKeys/{_uuid(rng)}", "k": pem})
    return "message", text, pem.split("\n")[2]


def _unicode_escape(rng: random.Random) -> Sample:
    secret = _human(rng)
    escaped = "".join(f"\\u{ord(character):04x}" for character in secret)
    return "message", f'{{"password": "{escaped}"}}', escaped


SHAPES: dict[str, Shape] = {
    "FIX password, SOH": _fix(554, "\x01"),
    "FIX password, pipe": _fix(554, "|"),
    "FIX new password, SOH": _fix(925, "\x01"),
    "FIX new password, pipe": _fix(925, "|"),
    "FIX raw data": _fix_raw,
    "bearer, opaque": _shape("Authorization: Bearer @@", lambda r: _alnum(r, 40)),
    "bearer in a log": _shape("retry with bearer @@ after 401", lambda r: _alnum(r, 32)),
    "basic": _basic,
    "GenieKey": _shape("POST /v2/alerts Authorization: GenieKey @@", _uuid),
    "authorization in JSON": _shape('{"authorization":"Token @@"}', lambda r: _hex(r, 40)),
    "postgres DSN": _shape("dial postgres://oms:@@@db:5432/oms failed", lambda r: _alnum(r, 12)),
    "redis DSN": _shape("redis://:@@@cache:6379/0", lambda r: _alnum(r, 16)),
    "amqp DSN": _shape("amqp://desk:@@@mq:5672/trading", _human),
    "mongodb DSN": _shape("mongodb+srv://desk:@@@c0.mongodb.net/oms", lambda r: _alnum(r, 14)),
    "http userinfo": _shape("GET https://desk:@@@feed.example/v1", _human),
    "kafka JAAS": _shape(
        'sasl.jaas.config=PlainLoginModule required username="desk" password="@@";', _human
    ),
    "ADO connection string": _shape(
        "Server=db1;Database=OMS;User Id=desk;Password=@@;Encrypt=true", _human
    ),
    "ADO Pwd": _shape("Data Source=db1;Uid=desk;Pwd=@@;", _human),
    "libpq keywords": _shape("host=db1 port=5432 user=desk password=@@ dbname=oms", _human),
    "JDBC query": _shape("jdbc:postgresql://db/oms?user=desk&password=@@&ssl=true", _human),
    "api_key mid query": _shape("GET /v1/quote?api_key=@@&symbol=AAPL", lambda r: _alnum(r, 32)),
    "Polygon apiKey": _shape(
        "https://api.polygon.io/v2/aggs/ticker/AAPL?apiKey=@@", lambda r: _alnum(r, 32)
    ),
    "Finnhub token": _shape("wss://ws.finnhub.io?token=@@", lambda r: _of(r, "abc0123456789d", 20)),
    "Binance signature": _shape(
        "symbol=BTCUSDT&side=SELL&timestamp=1700000000000&signature=@@", lambda r: _hex(r, 64)
    ),
    "Binance key header": _shape("X-MBX-APIKEY: @@", lambda r: _alnum(r, 64)),
    "Binance key in context": _shape("binance client ready, key @@", lambda r: _alnum(r, 64)),
    "Binance listen key": _shape('{"listenKey":"@@"}', lambda r: _alnum(r, 60)),
    "SigV4 query": _shape(
        "GET https://b.s3.amazonaws.com/t.csv?X-Amz-Expires=60&X-Amz-Signature=@@",
        lambda r: _hex(r, 64),
    ),
    "SAS": _shape(
        "https://a.blob.core.windows.net/tape?sv=2023&sp=r&sig=@@",
        lambda r: urllib.parse.quote(_base64(r, 32), safe=""),
    ),
    "OKX passphrase": _shape("OK-ACCESS-PASSPHRASE: @@", _human),
    "OKX key": _shape("OK-ACCESS-KEY=@@", _uuid),
    "OKX sign": _shape("OK-ACCESS-SIGN: @@", lambda r: _base64(r, 32)),
    "Bybit headers": _shape("X-BAPI-API-KEY: @@ X-BAPI-RECV-WINDOW: 5000", lambda r: _alnum(r, 18)),
    "Bybit sign": _shape('{"X-BAPI-SIGN": "@@"}', lambda r: _hex(r, 64)),
    "Deribit auth": _shape(
        '{"method":"public/auth","params":{"client_id":"a","client_secret":"@@"}}',
        lambda r: _alnum(r, 43),
    ),
    "Deribit header": _shape(
        "Authorization: deri-hmac-sha256 id=x,ts=1,nonce=n,sig=@@", lambda r: _hex(r, 64)
    ),
    "Kraken sign": _shape("API-Sign: @@", lambda r: _base64(r, 64)),
    "Kraken key": _shape("API-Key: @@", lambda r: _base64(r, 42)),
    "Kraken secret in context": _shape("kraken secret @@", lambda r: _base64(r, 64)),
    "Coinbase headers": _shape("CB-ACCESS-SIGN: @@", lambda r: _hex(r, 64)),
    "Coinbase passphrase": _shape("CB-ACCESS-PASSPHRASE: @@", lambda r: _alnum(r, 11)),
    "Coinbase CDP": _escaped_pem,
    "Coinbase CDP Ed25519": _shape('{"id":"x","privateKey":"@@"}', lambda r: _base64(r, 64)),
    "KuCoin passphrase": _shape('"KC-API-PASSPHRASE":"@@"', lambda r: _base64(r, 32)),
    "KuCoin key": _shape("KC-API-KEY: @@", lambda r: _hex(r, 24)),
    "Bitfinex": _shape("bfx-apikey: @@", lambda r: _alnum(r, 43)),
    "Bitfinex signature": _shape("bfx-signature: @@", lambda r: _hex(r, 96)),
    "Alpaca key id": _shape("APCA-API-KEY-ID: @@", lambda r: "PK" + _upper(r, 18)),
    "Alpaca secret": _shape("APCA-API-SECRET-KEY: @@", lambda r: _alnum(r, 40)),
    "Alpaca key in context": _shape(
        "alpaca paper account PK@@", lambda r: "9" + _upper(r, 16) + "7"
    ),
    "Interactive Brokers": _shape("IbLoginId=desk IbPassword=@@", _human),
    "Tradier": _shape("Authorization: Bearer @@ Accept: application/json", lambda r: _alnum(r, 28)),
    "PagerDuty": _shape("Authorization: Token token=@@", lambda r: "u+" + _alnum(r, 18)),
    "PagerDuty user token": _shape("pagerduty notifier u+@@ ok", lambda r: _alnum(r, 18)),
    "PagerDuty routing key": _shape(
        'POST events.pagerduty.com/v2/enqueue {"routing_key":"@@"}', lambda r: _hex(r, 32)
    ),
    "Opsgenie key": _shape("opsgenie.api_key=@@", _uuid),
    "Slack hook": _shape(
        "POST https://hooks.slack.com/services/T0000AAAA/B0000AAAA/@@ 500", lambda r: _alnum(r, 24)
    ),
    "JSON in JSON": _json_in_json,
    "JSON in JSON in JSON": _json_in_json_in_json,
    "URL-encoded": _url_encoded,
    "base64": _base64_json,
    "hex": _hex_encoded,
    "unicode escapes": _unicode_escape,
    "XML element": _shape("<login><user>desk</user><password>@@</password></login>", _human),
    "XML attribute": _shape('<session user="desk" password="@@"/>', _human),
    "named value": _shape('[{"key":"api_secret","value":"@@"}]', lambda r: _alnum(r, 20)),
    "human password": _shape("login failed user=desk password=@@ venue=XNYS", _human),
    "password after a colon": _shape("db password: @@", _human),
    "truncated JWT": _truncated_jwt,
    "PEM without end": _truncated_pem,
    "bare value, api key": _shape("@@", lambda r: _alnum(r, 32), key="okx.api_key"),
    "bare value, passphrase": _shape("@@", _human, key="venue.passphrase"),
    "bare value, header": _shape(
        "@@", lambda r: _alnum(r, 64), key="http.request.header.x-mbx-apikey"
    ),
    "bare value, cookie": _shape("sid=@@; Path=/", lambda r: _alnum(r, 24), key="http.cookie"),
    "zero-width": _zero_width,
    "full-width": _full_width,
    "JWT": _shape("session @@ opened", _jwt),
    "cookie header": _shape("Cookie: desk_session=@@; theme=dark", lambda r: _alnum(r, 26)),
    "set-cookie in JSON": _shape(
        '{"set-cookie":"sid=@@; Path=/; HttpOnly"}', lambda r: _alnum(r, 26)
    ),
    "command line": _shape("exec: oms --user desk --password @@ --venue XNAS", _human),
    "mysql command": _shape("mysql -h db -u desk -p@@ oms", lambda r: _alnum(r, 10)),
    "environment": _shape("env BYBIT_SECRET=@@ started", lambda r: _alnum(r, 36)),
    "python repr": _shape("Config(user='desk', password='@@')", _human),
    "Java toString": _shape("Credentials{user=desk, password=@@, venue=XNYS}", _human),
    "Go struct": _shape("{User:desk Password:@@ Venue:XNYS}", _human),
    "form body": _shape("grant_type=password&username=desk&password=@@&scope=trade", _human),
    "GraphQL": _shape('mutation { login(user: "desk", password: "@@") { ok } }', _human),
    "YAML": _shape("venue: XNAS\nsecret_key: @@\nuser: desk", lambda r: _alnum(r, 40)),
    "wallet key": _shape("signer private_key=0x@@ loaded", lambda r: _hex(r, 64)),
    "infura": _shape("dial wss://mainnet.infura.io/ws/v3/@@", lambda r: _hex(r, 32)),
}
"""What a secret may look like on its way to a backend, by name."""


def _base58(rng: random.Random, length: int) -> str:
    return _of(rng, _BASE58, length)


def _ticker(rng: random.Random) -> str:
    return _of(rng, string.ascii_uppercase, 4)


_BENIGN_FIELDS: dict[str, Callable[[random.Random], str]] = {
    "cl_ord_id={}": lambda r: f"DESK-{r.randrange(10**9)}-{_upper(r, 6)}",
    'ClOrdID="{}"': lambda r: _alnum(r, 20),
    "11={}": lambda r: _alnum(r, 18),
    "client_order_id: {}": _uuid,
    "clientOrderId={}": lambda r: "x-" + _alnum(r, 22),
    "exec_id={}": lambda r: _hex(r, 16) + ":" + str(r.randrange(99)),
    '"execId":"{}"': _uuid,
    "17={}": lambda r: _upper(r, 14),
    "tx_hash=0x{}": lambda r: _hex(r, 64),
    '"transactionHash": "0x{}"': lambda r: _hex(r, 64),
    "tx {}": lambda r: _hex(r, 64),
    "signature of tx {}": lambda r: _base58(r, 88),
    "request_id={}": _uuid,
    "uid: {}": _uuid,
    "isin=US{}": lambda r: _of(r, string.digits, 10),
    "lei={}": lambda r: _upper(r, 18) + _of(r, string.digits, 2),
    "trace_id={}": lambda r: _hex(r, 32),
    "span_id={}": lambda r: _hex(r, 16),
    "traceparent=00-{}-01": lambda r: f"{_hex(r, 32)}-{_hex(r, 16)}",
    "ts={}": lambda r: str(1_700_000_000_000 + r.randrange(10**10)),
    "timestamp_ns={}": lambda r: str(1_700_000_000_000_000_000 + r.randrange(10**15)),
    "commit={}": lambda r: _hex(r, 40),
    "git sha {}": lambda r: _hex(r, 7),
    "messaging.kafka.message.key={}": lambda r: _alnum(r, 24),
    "kafka key {}": lambda r: f"ACC{r.randrange(10**6)}|{_ticker(r)}",
    "token_address=0x{}": lambda r: _hex(r, 40),
    "order_key={}": _uuid,
    "partition_key={}": lambda r: _alnum(r, 20),
    "idempotency_key: {}": _uuid,
    "monkey={}": lambda r: _alnum(r, 16),
    "public_key={}": lambda r: _base64(r, 32),
    "instrument_key={}": lambda r: f"NSE_EQ|INE{_upper(r, 9)}",
    "strategy_token_id={}": _uuid,
    "token=WBTC-{}": lambda r: f"{_ticker(r)}-{r.randrange(10**6)}",
    "token={}": lambda r: r.choice(["USDC", "WBTC", "stETH", "1INCH", "AAVE"]),
    "order_id={}": lambda r: f"O{_upper(r, 5)}-{_upper(r, 5)}-{_upper(r, 6)}",
    "kraken order {}": lambda r: f"O{_upper(r, 5)}-{_upper(r, 5)}-{_upper(r, 6)}",
    "binance orderId={}": lambda r: str(r.randrange(10**11)),
    "coinbase order_id {}": _uuid,
    "k8s.pod.uid={}": _uuid,
    "container.id={}": lambda r: _hex(r, 64),
    "host.id={}": lambda r: _hex(r, 32),
    "account={}": lambda r: f"ACC-{r.randrange(10**7)}",
    "quote_id={}": lambda r: _alnum(r, 26),
    "message.key={}": lambda r: _hex(r, 24),
    "sort_key={}": lambda r: f"{_ticker(r)}#{r.randrange(10**10)}",
    "cache key {}": lambda r: f"md:{_ticker(r)}:{r.randrange(10**10)}",
    "price={}": lambda r: f"{r.randrange(10**6) / 100:.2f}",
    "cursor={}": lambda r: _base64(r, 18),
    "page_token={}": lambda r: _base64(r, 24),
    "next_page_token: {}": lambda r: _alnum(r, 40),
    "instrument_token={}": lambda r: str(r.randrange(10**7)),
    "etag={}": lambda r: _hex(r, 32),
    "checksum=sha256:{}": lambda r: _hex(r, 64),
    "option {}": lambda r: f"{_ticker(r)}  240621C00{r.randrange(10**6):06d}",
    "user_agent={}": lambda r: f"oms/{r.randrange(9)}.{r.randrange(99)}.{r.randrange(99)}",
    "ip={}": lambda r: ".".join(str(r.randrange(1, 255)) for _ in range(4)),
    "wallet=0x{}": lambda r: _hex(r, 40),
    "mint={}": lambda r: _base58(r, 44),
    "password_policy={}": lambda r: r.choice(["strict", "loose"]),
    "tokens_used={}": lambda r: str(r.randrange(10**5)),
    "session={}": lambda r: f"FIX.4.4:DESK{r.randrange(99)}->VENUE",
    "routing_key={}": lambda r: f"md.{_ticker(r).lower()}.l2",
    "GET /v1/orders/{}": _uuid,
    "https://h.example/orders?cursor={}&limit=50": lambda r: _alnum(r, 24),
    "stack at oms.Session.authorize(Session.java:{})": lambda r: str(r.randrange(999)),
    "authentication of desk{} succeeded": lambda r: str(r.randrange(999)),
    "secret rotation of vault path kv/desk{} done": lambda r: str(r.randrange(999)),
}


def _benign(field: str, make: Callable[[random.Random], str]) -> Callable[[random.Random], str]:
    def sample(rng: random.Random) -> str:
        lead = rng.choice(["order filled ", "INFO execution-engine ", "", '{"e":1} '])
        return (
            lead
            + field.replace("{}", make(rng))
            + rng.choice(["", " qty=100", " ok", ", side=BUY"])
        )

    return sample


BENIGN = {field: _benign(field, make) for field, make in _BENIGN_FIELDS.items()}
"""What identifies orders, executions, messages and builds, and must never be touched."""
