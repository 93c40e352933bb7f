"""Finding and building the servers, with a stand-in for the Go toolchain."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tapeline.stack import binaries, go_toolchain
from tapeline.stack.binaries import BinaryError, build, build_all, build_command, find, require
from tapeline.stack.go_toolchain import BuildError
from tapeline.stack.servers import SERVERS, Server, binary_named, server_named

# Answers `go env`, and builds a "binary" that, as the collector builder, makes the sources' folder.
FAKE_GO = """#!/bin/sh
echo "$@" >> "{calls}"
if [ "$1" = env ]; then printf '%s\\n%s\\n' "{version}" "{policy}"; exit 0; fi
if [ -n "{failure}" ]; then echo "{failure}" >&2; exit 1; fi
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\nmkdir _build\\n' > "$2"
chmod +x "$2"
"""


def install_go(
    folder: Path, *, version: str = "go1.26.8", policy: str = "local", failure: str = ""
) -> Path:
    """Write a `go` into `folder`/bin that logs its calls; return the log of the calls."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    calls = folder / "calls"
    calls.touch()
    go = programs / "go"
    go.write_text(
        FAKE_GO.format(calls=calls, version=version, policy=policy, failure=failure),
        encoding="utf-8",
    )
    go.chmod(0o755)
    return calls


def write_program(path: Path) -> Path:
    """Write an executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test an empty cache, and a PATH without the machine's own servers and Go."""
    for server in SERVERS:
        for binary in server.binaries:
            monkeypatch.delenv(binaries.environment_name(binary.name), raising=False)
    monkeypatch.setenv("TAPELINE_CACHE_DIR", str(tmp_path / "cache"))
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "chmod", "mkdir", "printf"):
        (tools / tool).symlink_to(
            f"/bin/{tool}" if Path(f"/bin/{tool}").exists() else f"/usr/bin/{tool}"
        )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{tools}")
    return tmp_path


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_every_server_is_pinned_in_the_repository(server: Server) -> None:
    """Each server's pin files are committed, and none names a registry host or a local path."""
    assert binaries.missing_pin(server) is None
    for relative in server.pin_files:
        text = (binaries.SOURCE_ROOT / relative).read_text(encoding="utf-8")
        assert not re.search(r"https?://|=> [./]|/home/|/root/", text)


def test_a_module_file_requires_what_its_server_builds() -> None:
    """The Go package of each binary lies in a module that the server's go.mod requires."""
    for server in SERVERS:
        if server.manifest is not None:
            continue
        go_mod = binaries.SOURCE_ROOT / server.module_folder / "go.mod"
        modules = re.findall(r"^require (\S+) v", go_mod.read_text(encoding="utf-8"), re.MULTILINE)
        for binary in server.binaries:
            assert any(f"{binary.package}/".startswith(f"{module}/") for module in modules)


def test_the_manifest_and_its_resolved_module_agree() -> None:
    """Every component of the collector's manifest is in the committed go.mod, at that version."""
    manifest = (binaries.SOURCE_ROOT / "collector/manifest.yaml").read_text(encoding="utf-8")
    go_mod = binaries.SOURCE_ROOT / "collector/native/collector/go.mod"
    resolved = set(re.findall(r"^\t(\S+ v\S+)", go_mod.read_text(encoding="utf-8"), re.MULTILINE))
    wanted = set(re.findall(r"gomod: (\S+ v\S+)", manifest))
    assert wanted
    assert wanted <= resolved


def test_names_lead_to_servers_and_binaries() -> None:
    """A server is found by its own name and by its binaries' names, and the other way round."""
    prometheus = server_named("promtool")
    otelcol = binary_named("collector")
    assert prometheus is not None
    assert prometheus.name == "prometheus"
    assert otelcol is not None
    assert otelcol.name == "otelcol"


def test_find_returns_none_where_a_binary_is_nowhere() -> None:
    """No override, an empty cache and an empty PATH: there is nothing to find."""
    assert find("prometheus") is None


def test_find_takes_a_binary_on_path_under_its_other_name(sandbox: Path) -> None:
    """Debian calls the node exporter prometheus-node-exporter."""
    program = write_program(sandbox / "bin" / "prometheus-node-exporter")
    assert find("node_exporter") == program


def test_the_core_collector_on_path_is_not_taken(sandbox: Path) -> None:
    """`otelcol` of the core distribution lacks components that the configuration uses."""
    write_program(sandbox / "bin" / "otelcol")
    assert find("otelcol") is None


def test_the_cache_comes_before_path_and_the_override_before_both(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of the three places is the override, the cache, PATH."""
    server = server_named("loki")
    assert server is not None
    write_program(sandbox / "bin" / "loki")
    cached = write_program(binaries.target_folder(server) / "loki")
    assert find("loki") == cached
    own = write_program(sandbox / "own" / "loki")
    monkeypatch.setenv("TAPELINE_LOKI_BINARY", str(own))
    assert find("loki") == own


def test_a_wrong_override_is_an_error(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An override that names no program must not be passed over in silence."""
    monkeypatch.setenv("TAPELINE_LOKI_BINARY", str(sandbox / "absent"))
    with pytest.raises(BinaryError, match=r"TAPELINE_LOKI_BINARY names .*absent"):
        find("loki")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    """The error names what was probably meant."""
    with pytest.raises(BinaryError, match="Did you mean 'prometheus'"):
        find("promethius")


def test_require_says_how_to_get_a_missing_binary() -> None:
    """The error names the command that builds it and the override."""
    with pytest.raises(BinaryError, match=r"stack build prometheus.*TAPELINE_PROMTOOL_BINARY"):
        require("promtool")


def test_build_puts_every_binary_into_the_cache_once(sandbox: Path) -> None:
    """A server is built into the folder of its pins, and the second time nothing is built."""
    calls = install_go(sandbox)
    lines: list[str] = []
    folder = build("prometheus", lines.append)
    assert sorted(path.name for path in folder.iterdir()) == ["prometheus", "promtool"]
    assert find("promtool") == folder / "promtool"
    builds = calls.read_text(encoding="utf-8").count("build -mod=readonly")
    assert builds == 2
    assert build("prometheus", lines.append) == folder
    assert calls.read_text(encoding="utf-8").count("build -mod=readonly") == builds
    assert lines[0].startswith("prometheus: building (about 4 min on 2 cores)")
    assert lines[-1] == "prometheus: already built"


def test_the_collector_is_built_from_its_manifest_and_pins(sandbox: Path) -> None:
    """The builder generates the sources without resolving, and Go builds them as pinned."""
    calls = install_go(sandbox)
    folder = build("collector", lambda _line: None)
    assert find("otelcol") == folder / "otelcol"
    last = calls.read_text(encoding="utf-8").splitlines()[-1]
    assert "-tags=grpcnotrace,remove_all_sd" in last
    assert last.endswith("otelcol .")
    log = (folder.parent / "build.log").read_text(encoding="utf-8")
    assert "--skip-compilation --skip-get-modules" in log


def test_a_failed_build_leaves_nothing_that_looks_built(sandbox: Path) -> None:
    """After a failure the cache has the log and the lock, and no half-built folder."""
    install_go(sandbox, failure="some/file.go:1: syntax error")
    with pytest.raises(BuildError, match="syntax error"):
        build("loki", lambda _line: None)
    left = sorted(path.name for path in (sandbox / "cache" / "bin" / "loki").iterdir())
    assert left == [".lock", "build.log"]
    assert find("loki") is None


@pytest.mark.parametrize(
    ("failure", "meaning"),
    [
        ("dial tcp: lookup mirror.invalid: no such host", "proxy could not be reached"),
        ("reading module: 403 Forbidden", "does not serve a pinned module"),
        ("missing go.sum entry for module", "do not fit"),
        ("write x: no space left on device", "disk is full"),
        ("compile: signal: killed", "out of memory"),
        ("anything else", "the Go build failed"),
    ],
)
def test_a_failure_is_explained(sandbox: Path, failure: str, meaning: str) -> None:
    """The error says what Go's words mean, and where all of them are."""
    install_go(sandbox, failure=failure)
    with pytest.raises(BuildError, match=meaning) as caught:
        build("jaeger", lambda _line: None)
    assert failure in str(caught.value)
    assert "build.log" in str(caught.value)


def test_without_go_the_error_says_to_install_it() -> None:
    """No `go` on PATH is answered with what to install."""
    with pytest.raises(BuildError, match=r"no `go` command on PATH.*Install Go"):
        build("loki", lambda _line: None)


@pytest.mark.parametrize(
    ("version", "policy", "accepted"),
    [
        ("go1.26.8", "local", True),
        ("go1.24.1", "local", False),
        ("go1.24.1", "auto", True),
        ("go1.19.4", "auto", False),
    ],
)
def test_an_old_go_is_refused_unless_it_fetches_a_newer_one(
    sandbox: Path, version: str, policy: str, *, accepted: bool
) -> None:
    """Go from 1.21 on fetches the toolchain that a go.mod asks for, where its policy lets it."""
    install_go(sandbox, version=version, policy=policy)
    if accepted:
        assert build("loki", lambda _line: None).is_dir()
        return
    with pytest.raises(BuildError, match=r"needs Go 1\.26\.\d+ or newer"):
        build("loki", lambda _line: None)


def test_without_the_pins_the_error_asks_for_a_checkout(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed wheel finds servers on PATH, and says that it can't build any."""
    monkeypatch.setattr(binaries, "SOURCE_ROOT", sandbox / "site-packages")
    program = write_program(sandbox / "bin" / "loki")
    assert find("loki") == program
    with pytest.raises(BuildError, match="source checkout"):
        build("loki", lambda _line: None)


def test_a_changed_pin_is_another_folder(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A binary built from other pins is never taken for the pinned one."""
    server = server_named("telemetrygen")
    assert server is not None
    for relative in server.pin_files:
        copy = sandbox / "checkout" / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((binaries.SOURCE_ROOT / relative).read_bytes())
    monkeypatch.setattr(binaries, "SOURCE_ROOT", sandbox / "checkout")
    before = binaries.pin_key(server)
    go_sum = sandbox / "checkout" / server.module_folder / "go.sum"
    go_sum.write_bytes(go_sum.read_bytes() + b"\n")
    assert re.fullmatch(r"[0-9a-f]{12}", before)
    assert binaries.pin_key(server) != before


def test_a_second_builder_waits_for_the_first(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is held by another process until it ends; then the build goes on."""
    install_go(sandbox)
    monkeypatch.setattr(binaries, "LOCK_POLL_SECONDS", 0.01)
    lock = sandbox / "cache" / "bin" / "loki" / ".lock"
    lock.parent.mkdir(parents=True)
    holder = "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.flock(f, 2); print(1); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        lines: list[str] = []

        def on_progress(line: str) -> None:
            lines.append(line)
            if "waiting" in line and process.stdin is not None:
                process.stdin.close()

        build("loki", on_progress)
    assert "another process is building it" in lines[0]
    assert find("loki") is not None


def test_build_all_keeps_the_order_and_goes_on_after_a_failure(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers are built in the table's order, and each one's outcome is told."""
    install_go(sandbox)
    real = binaries.build

    def failing(name: str, on_progress: go_toolchain.Progress) -> Path:
        if name == "prometheus":
            raise BuildError("no luck")
        return real(name, on_progress)

    monkeypatch.setattr(binaries, "build", failing)
    lines: list[str] = []
    outcomes = build_all(["amtool", "promtool", "prometheus"], lines.append)
    assert [outcome.server.name for outcome in outcomes] == ["prometheus", "alertmanager"]
    assert [outcome.error for outcome in outcomes] == ["no luck", None]
    assert any(line.startswith("prometheus: failed after 0s: no luck") for line in lines)
    assert any(line.startswith("alertmanager: done in ") for line in lines)


def test_the_command_prints_progress_and_returns_a_status(
    sandbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 where all is built, 1 where a build failed, 2 for a name that is not known."""
    install_go(sandbox)
    assert build_command(["telemetrygen"]) == 0
    assert "telemetrygen: done in" in capsys.readouterr().out
    install_go(sandbox, failure="broken")
    assert build_command(["loki"]) == 1
    assert "failed: loki" in capsys.readouterr().err
    assert build_command(["lokki"]) == 2
    assert "Did you mean 'loki'" in capsys.readouterr().err


def test_durations_read_as_people_say_them() -> None:
    """Seconds below a minute, minutes and seconds above."""
    assert binaries.duration(48.2) == "48s"
    assert binaries.duration(312) == "5m12s"


def test_the_cache_folder_follows_the_environment(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TAPELINE_CACHE_DIR wins over XDG_CACHE_HOME, and a relative XDG_CACHE_HOME is ignored."""
    assert binaries.cache_folder() == sandbox / "cache"
    monkeypatch.delenv("TAPELINE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert binaries.cache_folder() == Path("/somewhere/tapeline")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert binaries.cache_folder() == Path.home() / ".cache" / "tapeline"
