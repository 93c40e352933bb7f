"""What the services say to each other arrives as it was meant."""

import json
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from tapeline.demo.messages import (
    Settings,
    decision_from_json,
    decision_to_json,
    step_from_json,
    step_to_json,
)
from tapeline.demo.service import settings_from, settings_to_arguments
from tapeline.demo.tape import decide, steps


@given(seed=st.integers(min_value=0, max_value=2**32))
def test_steps_and_decisions_survive_json(seed: int) -> None:
    """Decimals keep every digit on the way through JSON."""
    for step in islice(steps(seed), 10):
        decision = decide(seed, step)

        assert step_from_json(json.loads(json.dumps(step_to_json(step)))) == step
        assert decision_from_json(json.loads(json.dumps(decision_to_json(decision)))) == decision


def test_settings_survive_the_command_line() -> None:
    """A child process gets exactly what its parent has, types included."""
    settings = Settings(
        seed=3,
        run="run with space",
        rate_per_s=2.5,
        duration_s=0.0,
        strategy_port=1,
        gateway_port=2,
        back_office_port=3,
        log_path="/a b/c.log",
        log_size_bytes=10,
    )

    assert settings_from(settings_to_arguments(settings)) == settings
