"""A gate that does not know its sender: the real collector loses nothing meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import trustme

from gate_behind_collector import StartCollector, refused, running_bench, starting_collectors
from scripted_downstream import running_downstream
from sidecars import PlainChain, running_sidecar, settings
from tapeline.otlp.signals import Signal
from tapeline.transport.sidecar import Sidecar
from waiting import eventually

pytestmark = pytest.mark.stack


@pytest.fixture(name="start_collector", scope="module")
def _start_collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartCollector]:
    with starting_collectors(tmp_path_factory) as start:
        yield start


def test_a_wrong_token_loses_nothing(start_collector: StartCollector, tmp_path: Path) -> None:
    """Once the token is right, what was refused arrives."""
    collector = start_collector()
    with running_bench(collector) as bench:
        bench.gate.sidecar.drain()
        failed = collector.failed()
        tokens = tmp_path / "tokens"
        tokens.write_text("right\n", encoding="ascii")
        server: dict[str, object] = {
            "listen": collector.gate, "auth": {"token_file": str(tokens)},
        }  # fmt: skip
        with running_sidecar(settings(bench.downstream.address, server)) as guarded:
            body = bench.send()
            eventually(
                lambda: (
                    guarded.count("tapeline_authentication_failures_total", reason="missing_token")
                    >= 1
                )
            )
        with running_sidecar(settings(bench.downstream.address, {"listen": collector.gate})):
            eventually(lambda: bench.arrived(body) == 1)
        assert collector.failed() == failed


def test_a_wrong_certificate_loses_nothing(start_collector: StartCollector, tmp_path: Path) -> None:
    """Not in the handshake, and not where the certificate is good but its name is not listed."""
    authority, stranger = trustme.CA(), trustme.CA()
    for name, issuer in (("gate", authority), ("collector", authority), ("wrong", stranger)):
        leaf = issuer.issue_cert("localhost", common_name=name)
        (tmp_path / f"{name}.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
        leaf.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    stranger.cert_pem.write_to_path(str(tmp_path / "stranger.pem"))
    collector = start_collector(
        {
            "ca_file": str(tmp_path / "ca.pem"),
            "cert_file": str(tmp_path / "collector.pem"),
            "key_file": str(tmp_path / "collector.key"),
        }
    )
    own = {"cert_file": str(tmp_path / "gate.pem"), "key_file": str(tmp_path / "gate.key")}
    other_authority = {**own, "client_ca_file": str(tmp_path / "stranger.pem")}
    other_name = {
        **own, "client_ca_file": str(tmp_path / "ca.pem"), "client_names": ["somebody"],
    }  # fmt: skip
    right = {**own, "client_ca_file": str(tmp_path / "ca.pem"), "client_names": ["collector"]}
    with running_downstream() as downstream:
        body = f"order {uuid4()}"

        def gate(tls: dict[str, object]) -> Sidecar:
            sidecar = Sidecar(settings(downstream.address, {"listen": collector.gate, "tls": tls}))
            sidecar.listen()
            sidecar.serve(lambda _context: PlainChain())
            return sidecar

        handshakes = gate(dict(other_authority))
        collector.send(body)
        eventually(lambda: b"tapeline_tls_handshakes_total 0.0" not in handshakes.exposition())
        handshakes.drain()
        names = gate(dict(other_name))
        eventually(lambda: refused(names, "unauthenticated") >= 1)
        names.drain()
        last = gate(dict(right))
        eventually(lambda: sum(body.encode() in p for p in downstream.payloads(Signal.LOGS)) == 1)
        last.drain()
    assert collector.failed() == 0
