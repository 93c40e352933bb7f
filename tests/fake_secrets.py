"""Secrets for tests, put together at run time: none stands in a file, and none opens anything."""

import base64
import string
from random import Random
from typing import Final

__all__ = ["SHAPES", "aws_key_id", "jwt", "pem", "secret_text", "seeded"]

_LETTERS: Final = string.ascii_letters + string.digits


def seeded(seed: int) -> Random:
    """Return a source of randomness that gives the same on every run."""
    return Random(seed)  # noqa: S311 - fake secrets


def secret_text(random: Random, length: int = 24, alphabet: str = _LETTERS) -> str:
    """Return a random word; its first characters make sure that nothing else equals it."""
    return "Zq7" + "".join(random.choice(alphabet) for _ in range(length - 3))


def aws_key_id(random: Random) -> str:
    """Return the shape of an AWS access key id."""
    return "AK" + "IA" + "".join(random.choice(string.ascii_uppercase) for _ in range(16))


def jwt(random: Random) -> str:
    """Return the shape of a signed JSON Web Token."""
    parts = (b'{"alg":"HS256"}', b'{"sub":"desk"}', random.randbytes(32))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def pem(random: Random) -> str:
    """Return the shape of a PEM private key."""
    body = base64.b64encode(random.randbytes(96)).decode()
    name = "PRIV" + "ATE KEY"
    return f"-----BEGIN {name}-----\n{body[:64]}\n{body[64:]}\n-----END {name}-----"


def _basic(random: Random) -> str:
    return base64.b64encode(f"desk:{secret_text(random)}".encode()).decode()


# Each shape: how the whole text is made of a secret, and how the secret is made.
SHAPES: Final = {
    "aws-access-key-id": ("{}", aws_key_id),
    "jwt": ("{}", jwt),
    "private-key": ("{}", pem),
    "bearer-token": ("Bearer {}", secret_text),
    "basic-credentials": ("basic {}", _basic),
    "url-userinfo": ("amqp://desk:{}@broker:5672/vhost", secret_text),
    "slack-token": (
        "{}",
        lambda random: "xo" + f"xb-{random.randrange(10**11, 10**12)}-" + secret_text(random),
    ),
    "slack-webhook": (
        "https://hooks.slack" + ".com/services/{}",
        lambda random: f"T0/B0/{secret_text(random)}",
    ),
    "github-token": ("{}", lambda random: "gh" + "p_" + secret_text(random, 36)),
    "gitlab-token": ("{}", lambda random: "gl" + "pat-" + secret_text(random, 20)),
    "stripe-key": ("{}", lambda random: "sk" + "_live_" + secret_text(random)),
    "google-api-key": ("{}", lambda random: "AI" + "za" + secret_text(random, 35)),
    "openai-key": ("{}", lambda random: "sk" + "-proj-" + secret_text(random, 40)),
    "npm-token": ("{}", lambda random: "np" + "m_" + secret_text(random, 36)),
    "sendgrid-key": (
        "{}",
        lambda random: f"S{'G'}.{secret_text(random, 22)}.{secret_text(random, 43)}",
    ),
}
