"""The real servers of the stack: which there are, what pins them and how Go builds them."""

from dataclasses import dataclass
from pathlib import PurePosixPath

NATIVE_FOLDER = PurePosixPath("collector/native")


@dataclass(frozen=True)
class Binary:
    """One program: its name in the cache, its Go package, and its names on PATH."""

    name: str
    package: str
    path_names: tuple[str, ...]


@dataclass(frozen=True)
class Server:
    """One pinned Go module and what is built from it, with the cost of a cold build.

    `pin_files` are relative to the repository's root; together they decide the cache folder.
    `minutes` is for 2 cores and empty Go caches, `megabytes` for all binaries together.
    `manifest` is set where the collector builder generates the sources first.
    """

    name: str
    binaries: tuple[Binary, ...]
    minutes: float
    megabytes: int
    tags: tuple[str, ...] = ()
    version_flags: tuple[str, ...] = ()
    manifest: PurePosixPath | None = None

    @property
    def module_folder(self) -> PurePosixPath:
        """The folder of this server's go.mod and go.sum, relative to the repository's root."""
        return NATIVE_FOLDER / self.name

    @property
    def pin_files(self) -> tuple[PurePosixPath, ...]:
        """Every file that decides what is built, relative to the repository's root."""
        own = _module_files(self.module_folder)
        if self.manifest is None:
            return own
        return (self.manifest, *_module_files(BUILDER_FOLDER), *own)


def _module_files(folder: PurePosixPath) -> tuple[PurePosixPath, PurePosixPath]:
    return folder / "go.mod", folder / "go.sum"


BUILDER_FOLDER = NATIVE_FOLDER / "builder"
BUILDER_PACKAGE = "go.opentelemetry.io/collector/cmd/builder"

_PROMETHEUS = "github.com/prometheus"
_COMMON_VERSION = "github.com/prometheus/common/version.Version"
_CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"

# In the order of need: what the first demo needs comes first.
SERVERS: tuple[Server, ...] = (
    Server(
        name="collector",
        # The core distribution `otelcol` lacks components that the configuration uses, so only
        # the builds that have them count on PATH.
        binaries=(Binary("otelcol", ".", ("otelcol-tapeline", "otelcol-contrib")),),
        minutes=6,
        megabytes=149,
        manifest=PurePosixPath("collector/manifest.yaml"),
    ),
    Server(
        name="prometheus",
        binaries=(
            Binary("prometheus", f"{_PROMETHEUS}/prometheus/cmd/prometheus", ("prometheus",)),
            Binary("promtool", f"{_PROMETHEUS}/prometheus/cmd/promtool", ("promtool",)),
        ),
        minutes=4,
        megabytes=105,
        # Leaves out the cloud service discoveries; static and file discovery stay.
        tags=("remove_all_sd",),
        version_flags=(f"{_COMMON_VERSION}=3.15.0",),
    ),
    Server(
        name="jaeger",
        binaries=(Binary("jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger", ("jaeger",)),),
        minutes=5.5,
        megabytes=85,
        version_flags=("github.com/jaegertracing/jaeger/internal/version.latestVersion=v1.76.0",),
    ),
    Server(
        name="loki",
        binaries=(Binary("loki", "github.com/grafana/loki/v3/cmd/loki", ("loki",)),),
        minutes=6.5,
        megabytes=157,
        version_flags=("github.com/grafana/loki/v3/pkg/util/build.Version=3.7.8",),
    ),
    Server(
        name="alertmanager",
        binaries=(
            Binary(
                "alertmanager",
                f"{_PROMETHEUS}/alertmanager/cmd/alertmanager",
                ("alertmanager", "prometheus-alertmanager"),
            ),
            Binary("amtool", f"{_PROMETHEUS}/alertmanager/cmd/amtool", ("amtool",)),
        ),
        minutes=1,
        megabytes=54,
        version_flags=(f"{_COMMON_VERSION}=0.31.0",),
    ),
    Server(
        name="telemetrygen",
        binaries=(Binary("telemetrygen", f"{_CONTRIB}/cmd/telemetrygen", ("telemetrygen",)),),
        minutes=1,
        megabytes=17,
    ),
    Server(
        name="node_exporter",
        binaries=(
            Binary(
                "node_exporter",
                f"{_PROMETHEUS}/node_exporter",
                ("node_exporter", "prometheus-node-exporter"),
            ),
        ),
        minutes=1,
        megabytes=17,
        version_flags=(f"{_COMMON_VERSION}=1.12.1",),
    ),
)


def server_named(name: str) -> Server | None:
    """Return the server of that name, or the one that has a binary of that name."""
    for server in SERVERS:
        if name == server.name or name in {binary.name for binary in server.binaries}:
            return server
    return None


def binary_named(name: str) -> Binary | None:
    """Return the binary of that name; a server's name stands for its first binary."""
    server = server_named(name)
    if server is None:
        return None
    for binary in server.binaries:
        if binary.name == name:
            return binary
    return server.binaries[0]
