"""The compiled form is told from the pure one by what was imported."""

import os
from importlib import import_module

import pytest

from tapeline.pipeline import value_limit
from tapeline.pipeline.form import Form, running_form


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/opt/tapeline/pipeline/value_limit.cpython-311-x86_64-linux-gnu.so", Form.COMPILED),
        ("/opt/tapeline/pipeline/value_limit.py", Form.PURE),
    ],
)
def test_the_form_is_that_of_the_imported_modules(
    path: str, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library beside the source comes first, as Python's import has it."""
    monkeypatch.setattr(value_limit, "__file__", path)

    assert running_form() is form


@pytest.mark.parametrize(
    "module", ["cardinality.limiter", "otlp.wire", "redaction.fast", "signals.positions"]
)
def test_the_form_that_was_asked_for_is_tested(module: str) -> None:
    """`make compiled-test` sets TAPELINE_TEST_FORM: its run must not be of the pure form."""
    asked = Form(os.environ.get("TAPELINE_TEST_FORM", running_form()))
    path = import_module(f"tapeline.{module}").__file__

    assert running_form() is asked
    assert path is not None
    assert path.endswith(".so" if asked is Form.COMPILED else ".py")
