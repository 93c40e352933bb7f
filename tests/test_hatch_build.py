"""The build of the compiled wheel leaves nothing behind where it fails."""

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def test_a_build_that_fails_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who works on a source makes it many times, and the C code is large."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    build: Any = import_module("hatch_build")
    config = {"compile": ["gone/*.py"], "pure": []}
    hook = build.CompiledModules(str(ROOT), config, None, None, str(tmp_path), "wheel")

    with pytest.raises(ValueError, match=r"no module is gone/\*\.py"):
        hook.initialize("standard", {})

    assert list(tmp_path.iterdir()) == []
