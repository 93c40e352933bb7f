"""docker-compose.yml, read without Docker: every service is held to the list, none slips by."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeline.redaction.processor import CACHE_VARIABLES, STATE_VARIABLES
from tapeline.stack import volumes
from tapeline.stack.binaries import SOURCE_ROOT
from tapeline.stack.render import (
    ALERTMANAGER_COMPOSE_FILE,
    COMPOSE_FILE,
    render_compose,
    render_compose_alertmanager,
)

TEXT = (SOURCE_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"volumes", "ready"}
GATE_FOLDERS = (CACHE_VARIABLES, STATE_VARIABLES)
"""Variables that the gate reads without naming them in its configuration."""
LASTING = sorted(set(SERVICES) - ONE_SHOT)
# Images with a program that can ask; the others have neither shell nor client, so `ready` asks.
WITH_HEALTHCHECK = {"gate", "signals", "prometheus", "loki", "alertmanager", "inbox"}
ASKED_BY_READY = {
    "collector",
    "gate",
    "signals",
    "alertmanager",
    "inbox",
    "prometheus",
    "loki",
    "jaeger",
    "grafana",
    "node-exporter",
}
DOCKERFILE = (SOURCE_ROOT / "Dockerfile").read_text(encoding="utf-8")
PROVISIONING = SOURCE_ROOT / "config/grafana/provisioning/datasources/tapeline.yaml"

each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def seconds(text: str) -> float:
    """Return a compose or gate duration of whole seconds."""
    match = re.fullmatch(r"(\d+)s", text)
    assert match is not None, text
    return float(match[1])


def test_these_are_the_services() -> None:
    """The rest of this file looks at all of them."""
    assert set(SERVICES) == ASKED_BY_READY | ONE_SHOT | {"demo"}


@each_service
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    """Not root, nothing writable but volumes and /tmp, no capability, and none to be gained."""
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["tmpfs"]
    assert all("noexec" in mount and "size=" in mount for mount in service["tmpfs"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    forbidden = {"privileged", "cap_add", "network_mode", "pid", "ipc", "userns_mode", "devices"}
    assert not forbidden & set(service)


@each_service
def test_a_service_is_limited(name: str) -> None:
    """Processes, memory, processor time and logs all have a limit."""
    service = SERVICES[name]
    assert 0 < service["pids_limit"] <= 512
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert 0 < service["cpus"] <= 2
    assert service["logging"]["driver"] == "json-file"
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@each_service
def test_a_service_ends_in_order(name: str) -> None:
    """A stop waits longer than the gate drains; what should last comes back after a crash."""
    service = SERVICES[name]
    gate = yaml.safe_load((SOURCE_ROOT / "config" / "gate.yaml").read_text(encoding="utf-8"))
    drain_s = seconds(gate["server"]["drain_timeout"])
    assert seconds(service["stop_grace_period"]) > drain_s
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")


@each_service
def test_an_image_is_pinned_or_our_own(name: str) -> None:
    """A published image has a whole version; ours is built from a target of the Dockerfile."""
    service = SERVICES[name]
    image, _, tag = service["image"].rpartition(":")
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)
    if image.startswith("tapeline"):
        assert re.search(rf"^FROM \S+ AS {service['build']['target']}$", DOCKERFILE, re.MULTILINE)
    else:
        assert "build" not in service


def test_the_versions_are_those_that_the_tests_run() -> None:
    """Collector, Alertmanager, Loki and node_exporter are of the native build's version."""
    manifest = yaml.safe_load(
        (SOURCE_ROOT / "collector" / "manifest.yaml").read_text(encoding="utf-8")
    )
    collector = SERVICES["collector"]["image"].rpartition(":")[2]
    assert collector == manifest["dist"]["version"]
    pins = {
        "alertmanager": r"github.com/prometheus/alertmanager v(\S+)",
        "loki": r"github.com/grafana/loki/v3 v(\S+)",
        "node_exporter": r"github.com/prometheus/node_exporter v(\S+)",
    }
    for server, pattern in pins.items():
        text = (SOURCE_ROOT / "collector/native" / server / "go.mod").read_text(encoding="utf-8")
        pinned = re.search(pattern, text)
        assert pinned is not None
        tag = SERVICES[server.replace("_", "-")]["image"].rpartition(":")[2]
        assert tag.removeprefix("v") == pinned[1]


def test_ports_are_on_this_machine_only() -> None:
    """Every published port is bound to 127.0.0.1, and none twice."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) >= 7
    for port in published:
        assert re.fullmatch(r"127\.0\.0\.1:\$\{TAPELINE_\w+_PORT:-(\d+)\}:\1", port), port
    assert len(set(published)) == len(published)


def test_every_variable_has_a_default() -> None:
    """`docker compose up` needs no .env file."""
    uses = re.findall(r"(?<!\$)\$\{?\w+[^}\s]*\}?", TEXT)
    assert len(uses) >= 8
    # The comment at the top of the file names the form itself.
    uses = [use for use in uses if use != "${VARIABLE}"]
    assert [use for use in uses if not re.fullmatch(r"\$\{\w+:-[^}]+\}", use)] == []


def mounts() -> list[tuple[str, str, str]]:
    """Return service, source and target (with options) of every mount."""
    found = []
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            source, _, target = mount.partition(":")
            found.append((name, source, target))
    return found


def test_mounted_files_exist_and_are_read_only() -> None:
    """A file that Docker does not find becomes an empty folder there."""
    files = [(name, source, target) for name, source, target in mounts() if "/" in source]
    assert len(files) >= 8
    for name, source, target in files:
        assert target.endswith(":ro"), (name, source)
        if source.startswith("/"):
            assert (name, source) in {("node-exporter", "/proc"), ("node-exporter", "/sys")}
        else:
            assert (SOURCE_ROOT / source).exists(), source


def test_volumes_are_made_private_before_they_are_used() -> None:
    """Every named volume goes through `volumes`; whoever uses one waits for that."""
    named = [(name, source, target) for name, source, target in mounts() if "/" not in source]
    assert {source for _, source, _ in named} == set(COMPOSE["volumes"])
    prepared = {target for name, _, target in named if name == "volumes"}
    assert prepared == set(SERVICES["volumes"]["command"])
    assert {source for name, source, _ in named if name == "volumes"} == set(COMPOSE["volumes"])
    made = re.search(
        r"install --directory --mode 0700 --owner 10001(.*?)\nENV", DOCKERFILE, re.DOTALL
    )
    assert made is not None
    assert all(folder in made[1].split() for folder in prepared)
    for name, _, target in named:
        assert target.startswith("/var/lib/tapeline/"), "an image's own folder sets the owner"
        if name not in {"volumes", "demo"}:
            condition = SERVICES[name]["depends_on"]["volumes"]["condition"]
            assert condition == "service_completed_successfully"
    assert SERVICES["demo"]["depends_on"] == {
        "ready": {"condition": "service_completed_successfully"}
    }


def test_health_checks_need_no_shell() -> None:
    """Only images that can ask have one, in exec form; nobody waits for one that is not there."""
    assert {name for name in SERVICES if "healthcheck" in SERVICES[name]} == WITH_HEALTHCHECK
    for name in WITH_HEALTHCHECK:
        check = SERVICES[name]["healthcheck"]
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} <= set(check)
    for service in SERVICES.values():
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert other in WITH_HEALTHCHECK


def test_ready_asks_every_server_where_it_listens() -> None:
    """The one-shot service polls each, by the module that our image has."""
    ready = SERVICES["ready"]
    asked = dict(target.split("=", 1) for target in ready["command"])
    assert set(asked) == ASKED_BY_READY == set(ready["depends_on"])
    for name, url in asked.items():
        assert url.startswith(f"http://{name}:")
    for service in ("ready", "volumes"):
        entrypoint = SERVICES[service]["entrypoint"]
        module = entrypoint[entrypoint.index("-m") + 1]
        path = SOURCE_ROOT / "processors" / (module.replace(".", "/") + ".py")
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_the_containers_name_only_variables_that_the_files_read() -> None:
    """A misspelt name would silently leave a default in place."""
    read: dict[str, str] = {
        "collector": "".join(
            path.read_text(encoding="utf-8") for path in (SOURCE_ROOT / "collector").glob("*.yaml")
        ),
        "gate": (SOURCE_ROOT / "config" / "gate.yaml").read_text(encoding="utf-8")
        + "".join(f"{name}:-" for names in GATE_FOLDERS for name in names),
        "signals": (SOURCE_ROOT / "config" / "signals.yaml").read_text(encoding="utf-8"),
        "loki": (SOURCE_ROOT / "config" / "loki" / "loki.yaml").read_text(encoding="utf-8"),
        "jaeger": (SOURCE_ROOT / "config" / "jaeger" / "jaeger.yaml").read_text(encoding="utf-8"),
    }
    for name, text in read.items():
        variables = set(SERVICES[name]["environment"]) - {"GOMEMLIMIT"}
        assert variables
        assert [v for v in variables if f"{v}:-" not in text] == [], name


def test_the_rendered_prometheus_configuration_is_fresh() -> None:
    """After a change of the template: `python -m tapeline.stack.render`."""
    assert (SOURCE_ROOT / COMPOSE_FILE).read_text(encoding="utf-8") == render_compose(SOURCE_ROOT)


def test_the_made_alertmanager_configuration_is_fresh() -> None:
    """After a change of the production file: `python -m tapeline.stack.render`."""
    path = SOURCE_ROOT / ALERTMANAGER_COMPOSE_FILE
    assert path.read_text(encoding="utf-8") == render_compose_alertmanager(SOURCE_ROOT)


def test_our_image_needs_no_root_and_no_shell() -> None:
    """The last stage is the gate, not root, started in exec form, with hashed requirements."""
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert stages[-1][1] == "gate"
    bases = {base for base, _ in stages if ":" in base}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases.pop())
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    starts = re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", DOCKERFILE, re.MULTILINE)
    assert len(starts) >= 2
    assert all(isinstance(ast.literal_eval(start), list) for start in starts)
    installs = re.findall(r"pip install (--\S+)", DOCKERFILE)
    assert sorted(set(installs)) == ["--no-deps", "--require-hashes"]
    for copied in re.findall(r"--requirement (\S+)", DOCKERFILE):
        text = (SOURCE_ROOT / copied).read_text(encoding="utf-8")
        pins = text.count("==")
        assert pins > 0
        assert text.count("--hash=sha256:") >= pins


def test_grafana_joins_the_three_in_both_directions() -> None:
    """Every data source that another points at exists, and each pair is joined."""
    sources = yaml.safe_load(PROVISIONING.read_text(encoding="utf-8"))["datasources"]
    by_uid = {source["uid"]: source["jsonData"] for source in sources}
    assert set(by_uid) == {"prometheus", "loki", "jaeger"}
    pointed = re.findall(r"datasourceUid: (\S+)", PROVISIONING.read_text(encoding="utf-8"))
    assert set(pointed) == set(by_uid)
    assert by_uid["prometheus"]["exemplarTraceIdDestinations"][0]["datasourceUid"] == "jaeger"
    field = by_uid["loki"]["derivedFields"][0]
    assert (field["matcherType"], field["matcherRegex"]) == ("label", "trace_id")
    assert field["datasourceUid"] == "jaeger"
    assert by_uid["jaeger"]["tracesToLogsV2"]["datasourceUid"] == "loki"
    assert by_uid["jaeger"]["tracesToMetrics"]["datasourceUid"] == "prometheus"
    hosts = {source["url"].split("/")[2].split(":")[0] for source in sources}
    assert hosts <= set(SERVICES)


def test_what_grafana_expands_later_is_doubled() -> None:
    """A single $ would be taken for an environment variable at start."""
    lines = PROVISIONING.read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if not line.lstrip().startswith("#")]
    dollars = [found for line in settings for found in re.findall(r"\$+", line)]
    assert len(dollars) >= 5
    assert set(dollars) == {"$$"}


def test_private_folders_are_told_from_others(tmp_path: Path) -> None:
    """The one-shot `volumes` accepts a folder of mode 0700 and names what is wrong elsewhere."""
    good = tmp_path / "good"
    good.mkdir(mode=0o700)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    assert volumes.main([str(good)]) == 0
    assert "0755" in str(volumes.problem_with(shared))
    assert "No such file" in str(volumes.problem_with(tmp_path / "gone"))
    assert volumes.main([str(good), str(shared)]) == 1
    assert volumes.main([]) == 1
