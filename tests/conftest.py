"""What holds for all tests."""

import os
import signal
import tempfile

import pytest
from hypothesis import HealthCheck, settings

from tapeline.pipeline.form import Form, running_form

# Examples have no deadline: the machine runs servers beside the tests, and no test may fail
# because it was slow. A failure prints what repeats it.
settings.register_profile(
    "tapeline",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("tapeline")

# The key of the tokens is made once and kept: not among the state of whoever runs the tests.
os.environ.setdefault("TAPELINE_STATE_DIR", tempfile.mkdtemp(prefix="tapeline-tests-"))

# What a shell runs in the background ignores Ctrl-C, and so does all that it starts: the servers
# and commands that the tests interrupt would not notice.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Say which form is tested."""
    return f"tapeline: the {running_form()} form"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what replaces, copies or reads parts of the package where those are compiled."""
    if running_form() is Form.PURE:
        return
    skip = pytest.mark.skip(reason="what it replaces or reads is fixed in the compiled form")
    for item in items:
        if item.get_closest_marker("pure"):
            item.add_marker(skip)
