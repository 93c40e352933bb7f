"""The switch to a compiled wheel: mypyc turns the hot, pure modules into C, gcc into `.so` files.

Off by default: an sdist, an editable install and a plain wheel need no compiler. A build with
HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 in its environment makes the compiled wheel, for one CPython and
one platform. Nothing is written into the tree. The sources stay in the wheel, beside what was made
of them: tracebacks show their lines, and Python prefers the `.so`.
"""

import os
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["CompiledModules"]

SOURCES: Final = "processors"
LIBRARY: Final = "tapeline"
"""Of the one library with all the code: `tapeline__mypyc`. The modules' own files are stubs."""
OPTIMISATION: Final = "2"


class CompiledModules(BuildHookInterface[Any]):
    """Compiles the modules that `[tool.hatch.build.targets.wheel.hooks.custom]` names."""

    def dependencies(self) -> list[str]:
        """Return what an isolated build installs first: the dependency group `compile`."""
        project = tomllib.loads(Path(self.root, "pyproject.toml").read_text(encoding="utf-8"))
        return list(project["dependency-groups"]["compile"])

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put the libraries into the wheel. An editable install stays pure."""
        if version == "editable":
            return
        self._work = Path(tempfile.mkdtemp(prefix="tapeline-compile-"))
        names = modules(Path(self.root), self.config["compile"], self.config["pure"])
        libraries = compiled(Path(self.root), names, self._work)
        build_data["force_include"].update(
            {str(path): str(path.relative_to(self._work / "lib")) for path in libraries}
        )
        build_data["infer_tag"] = True
        build_data["pure_python"] = False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was made on the way."""
        del build_data, artifact_path
        if version != "editable":
            shutil.rmtree(self._work)


def modules(root: Path, wanted: list[str], pure: list[str]) -> list[str]:
    """Return the sources to compile, from the root, in a fixed order.

    Raises ValueError for a pattern that no file answers to, so that a renamed module is noticed.
    """
    package = root / SOURCES / LIBRARY
    found = {pattern: set(package.glob(pattern)) for pattern in (*wanted, *pure)}
    unknown = [pattern for pattern, paths in found.items() if not paths]
    if unknown:
        raise ValueError(f"pyproject.toml, hooks.custom: no module is {', '.join(unknown)}")
    taken = set[Path]().union(*(found[pattern] for pattern in wanted))
    kept = set[Path]().union(*(found[pattern] for pattern in pure))
    return sorted(str(path.relative_to(root)) for path in taken - kept)


def compiled(root: Path, names: list[str], work: Path) -> list[Path]:
    """Compile sources below `work`; return the libraries, in `work/lib` as they are imported."""
    # Here, not above: they are only there where this build is asked for.
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415

    before = Path.cwd()
    os.chdir(root)  # mypy's configuration names its folders from there
    try:
        extensions = mypycify(
            ["--config-file=pyproject.toml", "--no-warn-unused-configs", *names],
            opt_level=OPTIMISATION,
            debug_level="0",
            group_name=LIBRARY,
            target_dir=str(work / "c"),
        )
        for extension in extensions:  # another gcc may warn of other things
            extension.extra_compile_args.append("-Wno-error")
        distribution = Distribution({"name": LIBRARY, "ext_modules": extensions})
        command = distribution.get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(work / "lib"), str(work / "objects")
        command.ensure_finalized()
        command.run()
    finally:
        os.chdir(before)
    return sorted((work / "lib").rglob("*.so"))
