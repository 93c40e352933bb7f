"""Imports point one way, cores are sans I/O: the folder tree is the architecture."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "processors" / "tapeline"

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"instrument", "otlp"}),
    frozenset({"pipeline"}),
    frozenset({"cardinality", "kit", "recorded", "redaction", "signals", "tap"}),
    frozenset({"admin", "transport"}),
    frozenset({"settings"}),
    frozenset({"alerting", "doctor", "recording", "serve", "stack"}),
    frozenset({"demo", "testing"}),
    frozenset({"floor"}),
    frozenset({"commands"}),
    frozenset({"cli"}),
)
"""From the ground up. A module may import its own layer's folder and everything below."""

PURE = (
    "alerting/alertmanager_lint.py",
    "alerting/alertmanager_shape.py",
    "alerting/inbox_page.py",
    "alerting/inhibition_lint.py",
    "alerting/notices.py",
    "alerting/runbook_page.py",
    "stack/alertmanager.py",
    "cardinality/conflicts.py",
    "cardinality/demand.py",
    "cardinality/fixes.py",
    "cardinality/folding",
    "cardinality/label_text.py",
    "cardinality/page.py",
    "cardinality/report.py",
    "cardinality/report_merge.py",
    "cardinality/sketches.py",
    "cardinality/snapshot_format.py",
    "otlp",
    "pipeline/batch.py",
    "pipeline/chain.py",
    "pipeline/durations.py",
    "pipeline/form.py",
    "pipeline/markup.py",
    "pipeline/pages.py",
    "pipeline/processor.py",
    "pipeline/prometheus_durations.py",
    "pipeline/value_limit.py",
    "cardinality/admission.py",
    "cardinality/decisions.py",
    "cardinality/limiter.py",
    "cardinality/limiter_report.py",
    "cardinality/limiter_state.py",
    "cardinality/looks.py",
    "cardinality/metric_reader.py",
    "cardinality/output_messages.py",
    "cardinality/point_keys.py",
    "cardinality/point_layout.py",
    "cardinality/series_keys.py",
    "cardinality/source.py",
    "cardinality/sources.py",
    "cardinality/tally.py",
    "recorded/forms.py",
    "recorded/reader.py",
    "recorded/selection.py",
    "recorded/signal_of.py",
    "recorded/stored.py",
    "recorded/time_span.py",
    "floor/collector.py",
    "floor/schedule.py",
    "kit/attributes.py",
    "kit/core.py",
    "kit/definition.py",
    "kit/derived.py",
    "kit/logs.py",
    "kit/points.py",
    "kit/read_only.py",
    "kit/record.py",
    "kit/sections.py",
    "kit/spans.py",
    "kit/surroundings.py",
    "kit/values.py",
    "redaction/core.py",
    "signals/currencies.py",
    "signals/decimals.py",
    "signals/event_set.py",
    "signals/events.py",
    "signals/executions.py",
    "signals/horizons.py",
    "signals/instruments.py",
    "signals/intake.py",
    "signals/ledger.py",
    "signals/mapping_paths.py",
    "signals/mapping_times.py",
    "signals/mappings.py",
    "signals/order_life.py",
    "signals/number_text.py",
    "signals/orders.py",
    "signals/pending.py",
    "signals/page.py",
    "signals/page_parts.py",
    "signals/portfolio.py",
    "signals/positions.py",
    "signals/quotes.py",
    "signals/reading.py",
    "signals/records.py",
    "signals/report.py",
    "signals/report_merge.py",
    "signals/report_text.py",
    "signals/returns.py",
    "signals/risk.py",
    "signals/round_trips.py",
    "signals/samples.py",
    "signals/shortfall.py",
    "signals/slippage.py",
    "signals/valuation.py",
    "signals/verification.py",
    "signals/worst.py",
    "pipeline/watch.py",
    "tap/allowance.py",
    "tap/changes.py",
    "tap/filters.py",
    "tap/sight.py",
    "tap/views.py",
    "testing/case_report.py",
    "testing/given.py",
    "testing/golden_text.py",
    "testing/matching.py",
    "testing/pairing.py",
    "testing/series.py",
    "testing/views.py",
    "transport/answers.py",
    "transport/loop_watch.py",
    "recording/pace.py",
    "recording/process.py",
    "recording/restamp.py",
    "recording/comparison.py",
    "recording/difference_text.py",
    "recording/event_time.py",
    "recording/ignoring.py",
    "recording/records.py",
)
IO_MODULES = frozenset(
    {
        "aiohttp", "asyncio", "datetime", "grpc", "http", "logging", "os", "random", "secrets",
        "socket", "subprocess", "sys", "time", "urllib", "uuid",
    }
)  # fmt: skip


def _modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def _imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def _part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _layer(part: str) -> int:
    return next(level for level, parts in enumerate(LAYERS) if part in parts)


def test_every_part_of_the_package_has_a_layer() -> None:
    """A new folder must say where it belongs."""
    parts = {_part(path) for path in _modules()}

    assert parts == frozenset().union(*LAYERS)


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_nothing_above_or_beside_it(path: Path) -> None:
    """From the command line down to the wire, and never the other way."""
    own = _part(path)
    parts = {name.split(".")[1] for name in _imported(path) if name.startswith("tapeline.")}

    wrong = {part for part in parts if part != own and _layer(part) >= _layer(own)}

    # The admin server and the transport run in one process and share a layer.
    assert wrong <= LAYERS[3] & ({"admin", "transport"} if own in LAYERS[3] else set())


@pytest.mark.parametrize("name", PURE)
def test_a_core_does_no_input_or_output(name: str) -> None:
    """No grpc, clock, randomness, logging or environment: that makes replay equal to live."""
    where = PACKAGE / name
    paths = sorted(where.rglob("*.py")) if where.is_dir() else [where]
    assert all(path.is_file() for path in paths)
    assert paths

    for path in paths:
        roots = {module.partition(".")[0] for module in _imported(path)}
        assert roots.isdisjoint(IO_MODULES), path
