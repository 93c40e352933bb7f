"""One Prometheus for the tests that ask it."""

from collections.abc import Iterator

import pytest

from backfilled import Backfilled, backfilled_prometheus


@pytest.fixture(name="backfilled", scope="session")
def _backfilled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfilled]:
    with backfilled_prometheus(tmp_path_factory.mktemp("prometheus")) as backfilled:
        yield backfilled
