"""While its rules are compiled a gate is live, not ready, and tells senders to come back."""

from pathlib import Path

import grpc

from gate_process import gate_config, running_gate
from otlp_client import logs
from sidecars import client
from tapeline.transport.answers import retry_after_s_in
from waiting import eventually

LIVE_ANSWERS_MIN = 5
RULES = 300
"""Rules of the user's own, so that compiling takes long enough on any machine to be looked at."""


def _rule(number: int) -> dict[str, object]:
    word = f"desk{number}"
    return {
        "id": f"desk-{number}",
        "description": "A made-up rule that takes its time to compile",
        "pattern": rf"(?i)\b{word}[a-z0-9_.-]{{4,40}}[=:](?P<secret>[A-Za-z0-9+/_-]{{16,64}})",
        "keywords": [word],
        "finds": [f"{word}alpha={'{alnum:20}'}", f"{word}.beta:{'{alnum:30}'}"],
        "leaves": [f"{word}", f"{word}alpha=short"],
    }


def test_liveness_answers_while_the_rules_are_compiled(tmp_path: Path) -> None:
    """With nothing in the cache; then what was refused is taken, and the cache holds the rules."""
    rules = [_rule(number) for number in range(RULES)]
    config = gate_config("discard", {}, redaction={"rules": rules})
    cache = tmp_path / "cache"
    environment = {"TAPELINE_CACHE_DIR": str(cache)}
    payload = logs(["order accepted"]).SerializeToString()
    live = refused = 0
    with (
        running_gate(tmp_path, config, environment=environment, wait=False) as gate,
        client(gate.address) as sender,
    ):
        eventually(lambda: gate.get("/health/live")[0] == 200, poll_s=0.005)
        while gate.get("/health/ready")[0] == 503:
            assert gate.process.poll() is None
            assert gate.get("/health/live")[0] == 200
            live += 1
            answered = sender.export(payload)
            if "starting" in answered.details:
                assert answered.code is grpc.StatusCode.UNAVAILABLE
                assert retry_after_s_in(answered.status_details or b"")
                refused += 1
        assert sender.export(payload).code is grpc.StatusCode.OK

    assert live >= LIVE_ANSWERS_MIN
    assert refused > 0
    assert list(cache.rglob("*.hyperscan"))
