"""What holds for all tests."""

import os
import tempfile

from hypothesis import HealthCheck, settings

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
