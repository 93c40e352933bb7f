"""The compiled form is told from the pure one by what was imported."""

import pytest

from tapeline.pipeline import batch
from tapeline.pipeline.form import Form, running_form


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/opt/tapeline/pipeline/batch.cpython-311-x86_64-linux-gnu.so", Form.COMPILED),
        ("/opt/tapeline/pipeline/batch.py", Form.PURE),
    ],
)
def test_the_form_is_that_of_the_imported_modules(
    path: str, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library beside the source comes first, as Python's import has it."""
    monkeypatch.setattr(batch, "__file__", path)

    assert running_form() is form
