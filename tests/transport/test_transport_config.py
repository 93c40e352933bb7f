"""The `server` and `downstream` sections refuse what can't work, and say what to write."""

from typing import Any

import pytest
from pydantic import ValidationError

from tapeline.admin.config import AdminConfig
from tapeline.transport.config import (
    AuthConfig,
    DownstreamConfig,
    DownstreamTlsConfig,
    ServerConfig,
    ServerTlsConfig,
)


def test_the_defaults_are_those_of_the_architecture() -> None:
    """An empty file is a working sidecar."""
    server, downstream = ServerConfig(), DownstreamConfig()

    assert (server.listen, server.workers, server.max_message_mib) == ("127.0.0.1:4319", 1, 64)
    assert (server.max_value_bytes, server.max_attempts, server.drain_timeout) == (60000, 5, 10.0)
    assert (server.quarantine, server.tls, server.auth) == (None, None, None)
    assert (downstream.endpoint, downstream.timeout) == ("127.0.0.1:14317", 8.0)
    assert AdminConfig().listen == "127.0.0.1:8090"


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"listen": "4319"}, "HOST:PORT"),
        ({"listen": "http://127.0.0.1:4319"}, "scheme"),
        ({"listen": "127.0.0.1:70000"}, "at most 65535"),
        ({"listen": "127.0.0.1:65535", "workers": 2}, "beyond port"),
        ({"workers": 0}, "greater than or equal to 1"),
        ({"max_message_mib": 0}, "greater than or equal to 1"),
        ({"drain_timeout": 10}, "not a duration"),
        ({"receive_timeout": "0s"}, "greater than 0"),
        ({"forward_metadata": ["authorization"]}, "downstream.auth"),
        ({"forward_metadata": ["trace-bin"]}, "binary"),
        ({"forward_metadata": ["grpc-timeout"]}, "can't be carried across|carried across"),
        ({"forward_metadata": [":path"]}, "carried across"),
        ({"forward_metadata": ["X-Tenant", "x-tenant"]}, "twice"),
        ({"auth": {"token": "t"}}, "token_file"),
        ({"tls": {"cert_file": "c", "key_file": "k", "client_names": ["n"]}}, "client_ca_file"),
        ({"workerz": 2}, "Extra inputs"),
    ],
)
def test_what_can_not_work_is_refused(section: dict[str, Any], complaint: str) -> None:
    """Each message says what to write instead."""
    with pytest.raises(ValidationError, match=complaint):
        ServerConfig.model_validate(section)


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"endpoint": "https://egress:4317"}, "scheme"),
        ({"endpoint": "egress"}, "HOST:PORT"),
        ({"timeout": "0s"}, "greater than 0"),
        ({"tls": {"cert_file": "c"}}, "belong together"),
    ],
)
def test_what_can_not_work_downstream_is_refused(section: dict[str, Any], complaint: str) -> None:
    """Each message says what to write instead."""
    with pytest.raises(ValidationError, match=complaint):
        DownstreamConfig.model_validate(section)


def test_worker_i_listens_i_ports_further() -> None:
    """The collector's load balancing lists these addresses."""
    config = ServerConfig(listen="[::1]:4319", workers=3)

    addresses = [str(config.worker_address(index)) for index in range(3)]

    assert addresses == ["[::1]:4319", "[::1]:4320", "[::1]:4321"]


def test_header_names_are_lower_case_as_on_the_wire() -> None:
    """HTTP/2 has no others, so `X-Tenant` in the file must still match."""
    assert ServerConfig(forward_metadata=("X-Tenant",)).forward_metadata == ("x-tenant",)


def test_discard_is_an_endpoint() -> None:
    """It acknowledges and drops."""
    assert DownstreamConfig(endpoint="discard").discards
    assert not DownstreamConfig().discards


@pytest.mark.parametrize(
    "model", [AdminConfig, AuthConfig, DownstreamTlsConfig, ServerConfig, ServerTlsConfig]
)
def test_every_section_is_frozen_and_knows_its_keys(model: type[Any]) -> None:
    """A typing mistake is an error, and nobody changes a configuration in use."""
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["frozen"] is True
