"""The bench says which form it measures, and never takes the one for the other."""

import pytest
from bench.form import choose_form
from bench.processes import BenchError

from tapeline.pipeline.form import Form


def test_without_a_compiler_the_pure_form_is_measured_and_that_is_said(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Aloud, with what to install."""
    monkeypatch.setenv("TAPELINE_CACHE_DIR", str(tmp_path_factory.mktemp("empty")))
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.delenv("PYTHONPATH", raising=False)

    assert choose_form(pure=False) is Form.PURE

    said = capfd.readouterr().err
    assert "THE PURE FORM IS MEASURED" in said
    assert "no-such-compiler is not there; install the Debian packages gcc" in said


def test_a_form_that_is_not_the_one_that_runs_is_refused(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tapeline version` itself is asked: a figure must not be printed under the other's name."""
    folder = tmp_path_factory.mktemp("other") / "tapeline"
    folder.mkdir()
    (folder / "__init__.py").write_text("__version__ = '0'\n")
    (folder / "cli.py").write_text("def main():\n    print('tapeline 0 (compiled)')\n")
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))

    with pytest.raises(BenchError, match=r"the pure form was to run, and .* says"):
        choose_form(pure=True)
