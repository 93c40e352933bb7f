"""TLS, mutual TLS and bearer tokens, on the way in and on the way out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme

from otlp_client import logs
from scripted_downstream import Downstream, running_downstream
from sidecars import PlainChain, Running, client, running_sidecar, settings
from tapeline.transport.sidecar import Sidecar
from waiting import eventually

PAYLOAD = logs(["order accepted"]).SerializeToString()


@dataclass(frozen=True)
class Files:
    """An authority's and its certificates' PEM files."""

    folder: Path
    authority: trustme.CA

    @property
    def ca_file(self) -> str:
        """The authority's certificate."""
        path = self.folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(path))
        return str(path)

    def issue(self, name: str, common_name: str | None = None) -> tuple[str, str]:
        """Write a certificate and its key; return their paths."""
        leaf = self.authority.issue_cert(name, common_name=common_name)
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        return str(cert), str(key)

    def client_credentials(self, name: str | None = None) -> grpc.ChannelCredentials:
        """Return a client's credentials, with a certificate of its own where it has a name."""
        roots = Path(self.ca_file).read_bytes()
        if name is None:
            return grpc.ssl_channel_credentials(roots)
        cert, key = self.issue(name, common_name=name)
        return grpc.ssl_channel_credentials(roots, Path(key).read_bytes(), Path(cert).read_bytes())


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Files:
    return Files(tmp_path, trustme.CA())


@pytest.fixture(name="token_file")
def _token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text("first\nsecond\n", encoding="ascii")
    return path


@pytest.fixture(name="guarded")
def _guarded(token_file: Path) -> Iterator[Running]:
    given = settings(server={"auth": {"token_file": str(token_file)}})
    with running_sidecar(given) as running:
        yield running


@pytest.mark.parametrize("token", ["first", "second"])
def test_every_token_of_the_file_may_send(guarded: Running, token: str) -> None:
    """Several at once, so that they can be rotated."""
    answered = guarded.client.export(PAYLOAD, metadata=[("authorization", f"Bearer {token}")])

    assert answered.code is grpc.StatusCode.OK
    assert guarded.count("tapeline_authentication_attempts_total") == 1


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [((), "missing_token"), ((("authorization", "Bearer third"),), "wrong_token")],
)
def test_a_wrong_token_is_unavailable_and_counted(
    guarded: Running, metadata: tuple[tuple[str, str], ...], reason: str
) -> None:
    """UNAUTHENTICATED would make the collector drop the data over a typing mistake."""
    answered = guarded.client.export(PAYLOAD, metadata=metadata)

    assert answered.code is grpc.StatusCode.UNAVAILABLE
    assert answered.status_details is not None
    assert guarded.count("tapeline_authentication_failures_total", reason=reason) == 1
    assert guarded.count("tapeline_refused_requests_total", reason="unauthenticated") == 1
    assert guarded.count("tapeline_received_records_total", signal="logs") == 0


def test_a_refused_client_may_have_sent_a_large_request(guarded: Running) -> None:
    """It is refused before its message is read, and hears the answer all the same."""
    answered = guarded.client.export(bytes(30 * 1024 * 1024))

    assert answered.code is grpc.StatusCode.UNAVAILABLE
    assert guarded.count("tapeline_in_flight_requests") == 0


def test_reload_reads_the_tokens_again(guarded: Running, token_file: Path) -> None:
    """Rotation without a restart; a file that went bad leaves the old tokens in force."""
    old, new = [("authorization", "Bearer first")], [("authorization", "Bearer third")]
    token_file.write_text("third\n", encoding="ascii")
    assert guarded.client.export(PAYLOAD, metadata=old).code is grpc.StatusCode.OK

    assert guarded.sidecar.reload(lambda _context: PlainChain())
    assert guarded.client.export(PAYLOAD, metadata=old).code is grpc.StatusCode.UNAVAILABLE
    assert guarded.client.export(PAYLOAD, metadata=new).code is grpc.StatusCode.OK

    token_file.write_text("", encoding="ascii")
    assert not guarded.sidecar.reload(lambda _context: PlainChain())
    assert guarded.client.export(PAYLOAD, metadata=new).code is grpc.StatusCode.OK


def test_a_missing_token_file_is_an_error_at_start(tmp_path: Path) -> None:
    """Not at the first request."""
    given = settings(server={"auth": {"token_file": str(tmp_path / "nowhere")}})

    with pytest.raises(ValueError, match="nowhere can't be read: No such file"):
        Sidecar(given)


def server_tls(files: Files, **more: object) -> dict[str, object]:
    """Return a `server.tls` section."""
    cert, key = files.issue("localhost")
    return {"cert_file": cert, "key_file": key, **more}


def test_tls_takes_clients_that_trust_the_authority(files: Files) -> None:
    """And nobody who speaks plain text."""
    given = settings(server={"tls": server_tls(files)})
    with running_sidecar(given, credentials=files.client_credentials()) as gate:
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK
        assert gate.count("tapeline_tls_handshakes_total") == 1
        with client(str(gate.address)) as plain:
            assert plain.export(PAYLOAD, timeout_s=5).code is grpc.StatusCode.UNAVAILABLE


def test_mutual_tls_takes_only_certificates_of_the_authority(files: Files) -> None:
    """A wrong or missing certificate fails in the handshake, which clients see as UNAVAILABLE."""
    given = settings(server={"tls": server_tls(files, client_ca_file=files.ca_file)})
    stranger = Files(files.folder / "..", trustme.CA())
    with running_sidecar(given, credentials=files.client_credentials("collector")) as gate:
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK
        cert, key = files.folder / "x.pem", files.folder / "x.key"
        leaf = stranger.authority.issue_cert("collector")
        cert.write_bytes(leaf.cert_chain_pems[0].bytes())
        leaf.private_key_pem.write_to_path(str(key))
        roots = Path(files.ca_file).read_bytes()
        for credentials in (
            grpc.ssl_channel_credentials(roots),
            grpc.ssl_channel_credentials(roots, key.read_bytes(), cert.read_bytes()),
        ):
            with client(str(gate.address), credentials) as wrong:
                assert wrong.export(PAYLOAD, timeout_s=5).code is grpc.StatusCode.UNAVAILABLE

        assert gate.count("tapeline_requests_total", signal="logs", answer="OK") == 1
        assert gate.count("tapeline_tls_handshakes_total") >= 3


def test_a_certificate_with_another_name_is_unavailable_and_counted(files: Files) -> None:
    """The authority signs for more than the collector."""
    tls = server_tls(files, client_ca_file=files.ca_file, client_names=["collector"])
    with running_sidecar(
        settings(server={"tls": tls}), credentials=files.client_credentials("collector")
    ) as gate:
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK
        with client(str(gate.address), files.client_credentials("laptop")) as other:
            answered = other.export(PAYLOAD)

        assert answered.code is grpc.StatusCode.UNAVAILABLE
        assert answered.status_details is not None
        assert gate.count("tapeline_authentication_failures_total", reason="client_name") == 1
        assert gate.count("tapeline_authentication_attempts_total") == 2


def test_reload_takes_a_renewed_certificate(files: Files) -> None:
    """At the next handshake; connections that are open stay."""
    tls = server_tls(files)
    with running_sidecar(
        settings(server={"tls": tls}), credentials=files.client_credentials()
    ) as gate:
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK
        renewed = Files(files.folder, trustme.CA())
        renewed.issue("localhost")
        assert gate.sidecar.reload(lambda _context: PlainChain())

        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK
        with client(str(gate.address), renewed.client_credentials()) as later:
            assert later.export(PAYLOAD).code is grpc.StatusCode.OK


@pytest.mark.parametrize("key", ["cert_file", "key_file", "client_ca_file"])
def test_a_pem_file_that_is_none_is_named_with_its_key(files: Files, key: str) -> None:
    """At start, and not as a failed handshake later."""
    wrong = files.folder / "wrong.pem"
    wrong.write_text("not PEM", encoding="ascii")
    tls = server_tls(files, client_ca_file=files.ca_file) | {key: str(wrong)}

    with pytest.raises(ValueError, match=rf"server\.tls\.{key}: .*wrong\.pem is not a PEM file"):
        Sidecar(settings(server={"tls": tls}))


@pytest.fixture(name="secure_downstream")
def _secure_downstream(files: Files) -> Iterator[Downstream]:
    cert, key = files.issue("localhost")
    credentials = grpc.ssl_server_credentials(
        [(Path(key).read_bytes(), Path(cert).read_bytes())],
        Path(files.ca_file).read_bytes(),
        require_client_auth=True,
    )
    with running_downstream("localhost:0", credentials) as downstream:
        yield downstream


def test_mutual_tls_and_a_token_towards_downstream(
    files: Files, secure_downstream: Downstream, token_file: Path
) -> None:
    """The first token of the file is sent, and our certificate is shown."""
    cert, key = files.issue("gate")
    to_downstream: dict[str, object] = {
        "tls": {"ca_file": files.ca_file, "cert_file": cert, "key_file": key},
        "auth": {"token_file": str(token_file)},
    }
    given = settings(secure_downstream.address, to_downstream=to_downstream)
    with running_sidecar(given) as gate:
        gate.until_ready()
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK

    (metadata,) = secure_downstream.metadata
    assert metadata["authorization"] == "Bearer first"


def test_a_downstream_that_does_not_trust_us_keeps_us_unready(
    files: Files, secure_downstream: Downstream
) -> None:
    """No certificate: the client keeps its data, and readiness names the endpoint."""
    given = settings(secure_downstream.address, to_downstream={"tls": {"ca_file": files.ca_file}})
    with running_sidecar(given) as gate:
        answered = gate.client.export(PAYLOAD)

        assert answered.code is grpc.StatusCode.UNAVAILABLE
        assert secure_downstream.received == []
        eventually(lambda: "downstream.endpoint" in " ".join(gate.sidecar.problems()))


def test_the_name_in_downstreams_certificate_can_be_given(
    files: Files, secure_downstream: Downstream
) -> None:
    """For an endpoint that is an address while the certificate carries a name."""
    cert, key = files.issue("gate")
    port = secure_downstream.address.rpartition(":")[2]
    tls = {"ca_file": files.ca_file, "cert_file": cert, "key_file": key}
    wrong, right = (
        settings(f"127.0.0.1:{port}", to_downstream={"tls": section})
        for section in (tls, {**tls, "server_name": "localhost"})
    )
    with running_sidecar(wrong) as gate:
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.UNAVAILABLE
    with running_sidecar(right) as gate:
        gate.until_ready()
        assert gate.client.export(PAYLOAD).code is grpc.StatusCode.OK
