"""The walk along the hops: what an address may look like."""

import pytest

from tapeline.doctor.hops import Addresses, check_hops, hops_of


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:abc/", "http://127.0.0.1:70000/", "127.0.0.1:3100", "http://[x/"]
)
def test_an_address_that_is_no_url_says_how_to_write_one(address: str) -> None:
    """It came from the command line; a traceback would not help."""
    nowhere = dict.fromkeys(("jaeger", "alertmanager", "signals", "signals_admin"), "")
    addresses = Addresses("", "", "", "", "", "", loki=address, **nowhere)

    ((hop, finding),) = check_hops(hops_of(addresses))

    assert hop.name == "Loki"
    assert finding is not None
    assert finding.problem == "is not a URL; write it as http://127.0.0.1:3100/ready"


def test_nothing_is_asked_where_every_address_is_empty() -> None:
    """An empty address leaves its hop out."""
    assert hops_of(Addresses(*[""] * 11)) == ()
