"""The switch to a compiled wheel: mypyc turns the hot, pure modules into C, gcc into `.so` files.

Off by default: an sdist, an editable install and a plain wheel need no compiler. A build with
HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 in its environment makes the compiled wheel, for one CPython and
one platform. Nothing is written into the tree. The sources stay in the wheel, beside what was made
of them: tracebacks show their lines, and Python prefers the `.so`.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import tomllib
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["CompiledModules"]

SOURCES: Final = "processors"
PACKAGE: Final = "tapeline"
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
        try:
            names = modules(Path(self.root), self.config["compile"], self.config["pure"])
            libraries = compiled(Path(self.root), names, self._work)
        except BaseException:  # mypyc ends the process where a source has a mistake
            shutil.rmtree(self._work)
            raise
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

    Raises ValueError for a wanted pattern that no file answers to, as where a folder was renamed.
    """
    package = root / SOURCES / PACKAGE
    found = {pattern: set(package.glob(pattern)) for pattern in (*wanted, *pure)}
    unknown = [pattern for pattern in wanted if not found[pattern]]
    if unknown:
        raise ValueError(f"pyproject.toml, hooks.custom: no module is {', '.join(unknown)}")
    taken = set[Path]().union(*(found[pattern] for pattern in wanted))
    kept = set[Path]().union(*(found[pattern] for pattern in pure))
    return sorted(str(path.relative_to(root)) for path in taken - kept)


def libraries_of(names: list[str]) -> list[tuple[list[str], str | None]]:
    """Return the sources by the library that holds their code: `tapeline_redaction__mypyc` and so.

    One a folder, so that they are compiled beside each other. The modules' own files are stubs.
    """
    folders: dict[str, list[str]] = {}
    for name in names:
        folders.setdefault(Path(name).parts[2], []).append(name)
    return [(sources, f"{PACKAGE}_{folder}") for folder, sources in folders.items()]


def compiled(root: Path, names: list[str], work: Path) -> list[Path]:
    """Compile sources below `work`; return the libraries, in `work/lib` as they are imported."""
    # Here, not above: they are only there where this build is asked for.
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415

    before = Path.cwd()
    os.chdir(root)  # mypy's configuration names its folders from there
    try:
        extensions = mypycify(
            [
                "--config-file=pyproject.toml",
                "--no-warn-unused-configs",
                f"--cache-dir={work / 'mypy'}",
                *names,
            ],
            opt_level=OPTIMISATION,
            debug_level="0",
            separate=libraries_of(names),
            target_dir=str(work / "c"),
        )
        for extension in extensions:  # another gcc may warn of other things
            extension.extra_compile_args = [*extension.extra_compile_args, "-Wno-error"]
        distribution = Distribution({"name": PACKAGE, "ext_modules": extensions})
        command = distribution.get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(work / "lib"), str(work / "objects")
        command.parallel = len(os.sched_getaffinity(0))
        command.ensure_finalized()
        build_or_copy(command)
    finally:
        os.chdir(before)
    return sorted((work / "lib").rglob("*.so"))


def build_or_copy(command: Any) -> None:
    """Run `build_ext`, but for libraries whose C was compiled before, where a folder keeps those.

    TAPELINE_LIBRARY_CACHE names it. Most of the time goes into gcc, and a change in one folder of
    sources leaves the C of the others as it was.
    """
    keep = os.environ.get("TAPELINE_LIBRARY_CACHE")
    if not keep:
        command.run()
        return
    kept = {each.name: Path(keep, f"{digest_of(each)}.so") for each in command.extensions}
    built = [each for each in command.extensions if not kept[each.name].is_file()]
    for extension in command.extensions:
        path = Path(command.get_ext_fullpath(extension.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        if extension not in built:
            shutil.copy(kept[extension.name], path)
            kept[extension.name].touch()
    command.extensions = built
    command.run()
    for extension in built:
        partial = kept[extension.name].with_suffix(f".{os.getpid()}")
        shutil.copy(command.get_ext_fullpath(extension.name), partial)
        partial.rename(kept[extension.name])


def digest_of(extension: Any) -> str:
    """Return the digest of a library's C, the headers that it includes, flags and tools."""
    tools = f"{sys.version} mypy {version_of('mypy')} {extension.extra_compile_args}"
    digest = hashlib.sha256(tools.encode())
    for path in (*extension.sources, *sorted(extension.depends)):
        if Path(path).is_file():  # mypyc's own runtime is not beside the others
            digest.update(Path(path).read_bytes())
    return digest.hexdigest()[:32]
