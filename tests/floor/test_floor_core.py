"""The floor's core: places, faults, turns, the tape, and what the collector is told."""

import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from decimal import Decimal
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tapeline import cli
from tapeline.demo.command import DemoOptions, demo_settings
from tapeline.floor import tape as tape_module
from tapeline.floor import whole
from tapeline.floor.catalog import SERVICES, SYSTEMS, CatalogError, services_of
from tapeline.floor.collector import Scraped, ingress_document
from tapeline.floor.command import fault_command
from tapeline.floor.faults import (
    CLOSED_BY_SERVICE_DOWN,
    SCENARIOS,
    FaultError,
    Faults,
    read_faults,
    switch_faults,
    write_faults,
)
from tapeline.floor.log_line import LineWriter
from tapeline.floor.place import Place, place_argument, place_from
from tapeline.floor.schedule import Turn, active_at, parse_turn
from tapeline.floor.tape import Tape, TapeError, read_recorded
from tapeline.floor.whole import FloorPlan, _Scheduler, fault_path, floor_overrides
from tapeline.stack.ports import PortError
from waiting import eventually

PLACE = Place(
    name="veloz-engine",
    port=8800,
    peers={"veloz-gateway": "http://127.0.0.1:8801"},
    otlp_endpoint="http://127.0.0.1:4317",
    log_path=Path("/run/veloz-engine.log"),
    fault_path=Path("/run/faults.json"),
    seed=1,
    rate_per_s=2.0,
    tape_path=None,
    run="f1",
)


@pytest.mark.parametrize("tape", [None, Path("quotes.csv")])
def test_a_place_comes_back_from_its_argument(tape: Path | None) -> None:
    """What a service is told is what was meant."""
    place = replace(PLACE, tape_path=tape)

    assert place_from([place_argument(place)]) == place


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "--place: "),
        ("[]", "is no JSON object"),
        ('{"name": 1}', "must have exactly fault_path"),
    ],
)
def test_a_place_that_is_none_is_said(
    text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and what is wrong."""
    with pytest.raises(SystemExit) as ended:
        place_from([f"--place={text}"])

    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_the_catalog_has_the_documents_services() -> None:
    """VeloZ two, py_rt four, b25 seven and its host, KTRDR three, each under a name of its own."""
    counts = {system: len(services_of([system])) for system in SYSTEMS}

    assert counts == {"veloz": 2, "py_rt": 4, "b25": 8, "ktrdr": 3}
    assert len({each.name for each in SERVICES}) == len({each.job for each in SERVICES}) == 17
    assert {each.name for each in SERVICES} > CLOSED_BY_SERVICE_DOWN


def test_an_unknown_system_is_told_with_the_near_one() -> None:
    """A slip of the key is answered with what there is."""
    with pytest.raises(CatalogError, match=r"no system 'velos'. Did you mean 'veloz'\?"):
        services_of(["velos"])


def test_a_fault_is_seen_by_a_service_soon_and_not_before(tmp_path: Path) -> None:
    """The file is read four times a second, however often a service asks."""
    path, now = tmp_path / "faults.json", 0.0
    faults = Faults(path, lambda: now)
    assert not faults.active("latency_spike")

    write_faults(path, {"latency_spike"})
    assert not faults.active("latency_spike")
    now = 0.3
    assert faults.active("latency_spike")
    assert not faults.active("drawdown")


def test_a_scenario_that_there_is_none_of_is_an_error(tmp_path: Path) -> None:
    """A misspelt name in a service would never be active, which a test would not notice."""
    with pytest.raises(FaultError, match="Did you mean 'drawdown'"):
        Faults(tmp_path / "faults.json").active("drawdwon")


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', "[1]", "null"])
def test_a_file_of_something_else_is_no_fault(tmp_path: Path, content: str) -> None:
    """A service goes on as if nothing were wrong."""
    (tmp_path / "faults.json").write_text(content, encoding="utf-8")

    assert read_faults(tmp_path / "faults.json") == frozenset()
    assert not Faults(tmp_path / "faults.json").active("drawdown")


@pytest.mark.parametrize(
    ("text", "turn"),
    [
        ("drawdown", Turn("drawdown")),
        ("drawdown@60s", Turn("drawdown", 60.0)),
        ("drawdown@1m+90s", Turn("drawdown", 60.0, 90.0)),
    ],
)
def test_a_turn_is_read(text: str, turn: Turn) -> None:
    """A name, when it begins, how long it lasts."""
    assert parse_turn(text) == turn


@pytest.mark.parametrize("text", ["", "nothing", "drawdown@", "drawdown@5s+", "drawdown@x"])
def test_a_turn_that_is_none_is_said(text: str) -> None:
    """An unknown name, or a time that is none."""
    with pytest.raises(FaultError, match=r"there is no scenario|is no turn"):
        parse_turn(text)


@given(
    st.lists(st.tuples(st.sampled_from(list(SCENARIOS)), st.floats(0, 100), st.floats(0, 100))),
    st.floats(0, 200),
)
def test_a_fault_is_on_within_any_of_its_turns(
    times: list[tuple[str, float, float]], elapsed_s: float
) -> None:
    """From its begin on, until its end."""
    turns = [Turn(*each) for each in times]

    expected = {name for name, begin, lasts in times if begin <= elapsed_s < begin + lasts}
    assert active_at(turns, elapsed_s) == expected


def test_the_same_seed_is_the_same_market() -> None:
    """Two services that share a seed see the same quotes, of each symbol others."""
    first = list(islice(Tape(7).quotes("AAPL"), 500))

    assert first == list(islice(Tape(7).quotes("AAPL"), 500))
    assert first != list(islice(Tape(8).quotes("AAPL"), 500))
    other = [replace(quote, symbol="AAPL") for quote in islice(Tape(7).quotes("MSFT"), 500)]
    assert first != other
    assert all(0 < quote.bid < quote.ask for quote in first)


def test_a_recorded_tape_is_repeated(tmp_path: Path) -> None:
    """Its pairs come in their order, from somewhere, and begin again."""
    path = tmp_path / "quotes.csv"
    path.write_text("bid,ask,of a spreadsheet\n1.1,1.2,a\n1.3,1.4,b\n", encoding="utf-8-sig")

    bids = [quote.bid for quote in islice(Tape(1, read_recorded(path)).quotes("X"), 4)]

    assert bids in ([Decimal("1.1"), Decimal("1.3")] * 2, [Decimal("1.3"), Decimal("1.1")] * 2)


def test_a_tape_is_read_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of any size takes a bounded part of seventeen processes' memory."""
    monkeypatch.setattr(tape_module, "_ROWS_MAX", 3)
    path = tmp_path / "quotes.csv"
    path.write_text("bid,ask\n" + "1,2\n" * 5, encoding="utf-8")

    assert len(read_recorded(path)) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n", "no columns bid and ask, but a, b"),
        ("bid,ask\n1,2\nx,2\n", "3: 'x' and '2' are no prices"),
        ("bid,ask\n1\n", "2: '1' and None are no prices"),
        ("bid,ask\n3,2\n", "2: a bid of 3 and an ask of 2 make no quote"),
        ("bid,ask\nNaN,2\n", "a bid of NaN and an ask of 2 make no quote"),
        ("bid,ask\n1,Infinity\n", "an ask of Infinity make no quote"),
        ("bid,ask\n0,2\n", "a bid of 0 and an ask of 2 make no quote"),
        (f"bid,ask\n{'1' * 200_000},2\n", "field larger than field limit"),
        ("bid,ask\n", "holds no quotes"),
        ("", "no columns bid and ask"),
    ],
)
def test_a_tape_that_is_none_is_said(tmp_path: Path, text: str, told: str) -> None:
    """With the file's name, and the line where it is about one."""
    path = tmp_path / "quotes.csv"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(TapeError, match=rf"quotes\.csv:.*{told}"):
        read_recorded(path)


def test_a_line_is_an_object(tmp_path: Path) -> None:
    """One record a line; what JSON has no form for stands there as its text."""
    path = tmp_path / "floor" / "a.log"
    with LineWriter(path) as log:
        log.write({"level": "INFO", "price": Decimal("1.5")})

    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"level": "INFO", "price": "1.5"}
    ]


def test_the_collector_scrapes_each_service_under_its_job() -> None:
    """With the documents' labels, and the simulated host under its own instance."""
    scraped = [Scraped(each, 9_000 + at) for at, each in enumerate(SERVICES)]
    document = ingress_document(scraped, Path("/logs"), 5)

    receivers = document["receivers"]
    assert isinstance(receivers, dict)
    jobs = receivers["prometheus/floor"]["config"]["scrape_configs"]
    by_name = {job["job_name"]: job for job in jobs}
    assert set(by_name) == {each.job for each in SERVICES}
    # py_rt's own label `service` has the document's spelling, and stays.
    assert all(job["honor_labels"] for job in jobs)
    assert by_name["b25-market-data"]["static_configs"][0]["labels"] == {
        "service": "market-data",
        "tier": "critical",
        "environment": "production",
    }
    assert by_name["node-exporter"]["relabel_configs"] == [
        {"target_label": "instance", "replacement": "trading-server-01"}
    ]


def test_lines_wait_for_the_gate_however_long_it_is_away() -> None:
    """A tailed line is read once: given up, it would be lost."""
    receivers = ingress_document([], Path("/logs"), 5)["receivers"]
    assert isinstance(receivers, dict)
    tail = receivers["file_log/floor"]

    assert tail["include"] == ["/logs/*.log*"]
    assert tail["retry_on_failure"]["enabled"]
    assert tail["retry_on_failure"]["max_elapsed_time"] == "0s"
    assert tail["storage"] == "file_storage/ingress"


def test_the_desk_trades_beside_the_systems(tmp_path: Path) -> None:
    """Its services come first, on ports that nobody else has; the collector waits for the floor."""
    plan = FloorPlan(tmp_path / "run", port_base=9_000)
    alone = floor_overrides(plan)
    both = floor_overrides(replace(plan, desk=demo_settings(DemoOptions())))

    assert [unit.name for unit in both.units[-17:]] == [unit.name for unit in alone.units]
    assert len(both.units) > len(alone.units) == 17
    ports = [port for unit in both.units for _, port in unit.ports]
    assert len(set(ports)) == len(ports)
    servers = set(astuple(plan.ports()))
    assert servers.isdisjoint(ports)
    assert set(alone.needs["collector"]) == {each.name for each in SERVICES}


def test_services_have_ports_and_peers_of_their_own(tmp_path: Path) -> None:
    """Each listens where the others are told that it does, beside every server's port."""
    plan = FloorPlan(tmp_path / "run", port_base=9_000)
    units = floor_overrides(plan).units

    places = {unit.name: place_from([unit.arguments[-1]]) for unit in units}
    assert {f"http://127.0.0.1:{place.port}" for place in places.values()} == {
        unit.url for unit in units
    }
    assert all(place.peers[name].endswith(str(place.port)) for name, place in places.items())
    assert min(place.port for place in places.values()) >= plan.first_port


def test_a_floor_whose_services_have_no_ports_is_said(tmp_path: Path) -> None:
    """With what to take; one lower there is a port for the last of them, too."""
    with pytest.raises(PortError, match="take one that is lower by 1 or more"):
        floor_overrides(FloorPlan(tmp_path, port_base=65_536 - 42))

    units = floor_overrides(FloorPlan(tmp_path, port_base=65_536 - 43)).units
    assert max(port for unit in units for _, port in unit.ports) == 65_535


def test_a_fault_without_a_floor_is_said(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1 where nothing runs, or a stack that is no floor; 2 for a wrong option."""
    assert fault_command("drawdown", tmp_path / "other", off=False, duration=None) == 1
    assert "no floor runs in" in capsys.readouterr().err
    assert fault_command("nothing", run_dir, off=False, duration=None) == 2
    assert fault_command("drawdown", run_dir, off=False, duration="0s") == 2
    assert "--for 0s must be above 0" in capsys.readouterr().err

    fault_path(run_dir).unlink()
    assert fault_command("drawdown", run_dir, off=False, duration=None) == 1
    assert not fault_path(run_dir).exists()


def test_a_floor_that_was_killed_has_no_faults(tmp_path: Path) -> None:
    """Its files are there and its lock is not; the next floor begins without what it left."""
    path = fault_path(tmp_path)
    path.parent.mkdir()
    write_faults(path, ["drawdown"])

    assert fault_command("log_flood", tmp_path, off=False, duration=None) == 1
    assert read_faults(path) == {"drawdown"}
    files = floor_overrides(FloorPlan(tmp_path, port_base=9_000)).config_files
    assert json.loads(files[path.name]) == []


def test_faults_are_switched_one_by_one(run_dir: Path) -> None:
    """One is switched on and off beside others that stay."""
    for name in ("drawdown", "log_flood"):
        assert fault_command(name, run_dir, off=False, duration=None) == 0

    assert fault_command("drawdown", run_dir, off=True, duration=None) == 0
    assert read_faults(fault_path(run_dir)) == {"log_flood"}


def test_a_fault_for_a_while_is_off_after(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was switched on by others meanwhile stays."""
    write_faults(fault_path(run_dir), ["log_flood"])

    assert fault_command("drawdown", run_dir, off=False, duration="10ms") == 0
    assert capsys.readouterr().out == "fault drawdown on\nfault drawdown off\n"
    assert read_faults(fault_path(run_dir)) == {"log_flood"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_fault_and_not_only_the_command(
    run_dir: Path, number: signal.Signals
) -> None:
    """Or the floor would stay ill, with nobody to heal it."""
    command = [sys.executable, "-m", "tapeline.cli", "fault", "drawdown"]
    with subprocess.Popen([*command, "--for", "10m", "--run-dir", str(run_dir)]) as process:
        eventually(lambda: read_faults(fault_path(run_dir)) == {"drawdown"}, timeout_s=60)

        process.send_signal(number)

        assert process.wait(30) == 0
    assert read_faults(fault_path(run_dir)) == frozenset()


def test_a_floor_that_ended_is_not_begun_again_by_its_faults(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says so, and leaves no folder."""
    path, aside = fault_path(run_dir), run_dir / "aside"

    with ThreadPoolExecutor(1) as others:
        told = others.submit(lambda: eventually(lambda: "drawdown" in read_faults(path)))
        told.add_done_callback(lambda _: path.parent.rename(aside))
        assert fault_command("drawdown", run_dir, off=False, duration="2s") == 1

    assert f"the floor in {run_dir} has ended" in capsys.readouterr().err
    assert not path.parent.exists()


def test_a_reader_never_sees_half_of_a_file(tmp_path: Path) -> None:
    """Else every fault would be off for a moment, at each switch."""
    path, few, many = tmp_path / "faults.json", {"drawdown"}, set(SCENARIOS)
    write_faults(path, few)

    def write() -> None:
        for each in (many, few) * 300:
            write_faults(path, each)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done():
            assert read_faults(path) in (few, many)
    writing.result()


def test_no_switch_is_lost(tmp_path: Path) -> None:
    """A schedule and commands switch at the same time, each its own fault."""
    path = tmp_path / "faults.json"
    write_faults(path, ())
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        for _ in range(20):
            list(pool.map(lambda name: switch_faults(path, on=[name]), SCENARIOS))
            assert read_faults(path) == set(SCENARIOS)
            list(pool.map(lambda name: switch_faults(path, off=[name]), SCENARIOS))
            assert read_faults(path) == frozenset()


def test_a_schedule_switches_its_own_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On at their time and off behind it, beside what was switched by hand; then it is told."""
    now_s = [0.0]
    monkeypatch.setattr(whole, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    path, shown = tmp_path / "faults.json", list[str]()
    write_faults(path, ["log_flood"])
    turns = [Turn("drawdown", 0.0, 1.0), Turn("clock_skew", 1.0)]

    with _Scheduler(path, turns, shown.append):
        eventually(lambda: read_faults(path) == {"log_flood", "drawdown"})
        now_s[0] = 1.0
        eventually(lambda: read_faults(path) == {"log_flood", "clock_skew"})

    assert shown == ["fault drawdown on", "fault clock_skew on", "fault drawdown off"]


def test_a_schedule_ends_with_its_floor(tmp_path: Path) -> None:
    """It makes no folder where the run's files have been removed."""
    path = tmp_path / "gone" / "faults.json"
    with _Scheduler(path, [Turn("drawdown")], print):
        eventually(lambda: "floor-schedule" not in {each.name for each in threading.enumerate()})

    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--rate", "0"], "--rate 0 must be above 0"),
        (["--time-scale", "0"], "--time-scale 0 must be 1 to 60"),
        (["--systems", "velos"], "Did you mean 'veloz'"),
        (["--scenario", "drawdwon"], "Did you mean 'drawdown'"),
        (["--duration", "soon"], "--duration is"),
        (["--duration", "0s"], "--duration 0s must be above 0"),
        (["--tape", "absent.csv"], "absent.csv"),
    ],
)
def test_a_wrong_option_of_the_floor_is_said(
    arguments: list[str], told: str, tmp_path: Path
) -> None:
    """Exit status 2, before anything is started."""
    done = subprocess.run(
        [sys.executable, "-m", "tapeline.cli", "demo", "floor", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert told in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments", [["--scenario", "drawdown"], ["--time-scale", "0"], ["--without-desk"]]
)
def test_an_option_of_the_floor_alone_is_said(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Who forgot the word `floor` would wait for a fault that never comes."""
    assert cli.main(["demo", *arguments]) == 2
    told = f"{arguments[0]} is an option of `tapeline demo floor`"
    assert told in capsys.readouterr().err


def test_a_fast_floor_forgets_sooner_and_a_real_one_runs_the_committed_files(
    tmp_path: Path,
) -> None:
    """Divided rules and a gate that forgets idle series soon; at real pace neither is replaced."""
    real = floor_overrides(FloorPlan(tmp_path / "run", port_base=9_000))
    fast = floor_overrides(FloorPlan(tmp_path / "run", port_base=9_000, time_scale=10))

    assert (real.gate_config, real.rules_folder, real.loki_rules_folder) == (None, None, None)
    assert fast.gate_config == tmp_path / "run" / "config" / "gate.floor.yaml"
    gate = yaml.safe_load(fast.config_files["gate.floor.yaml"])
    assert gate["cardinality"]["idle_ttl"] == "60s"
    assert {"rules/b25.yml", "loki-rules/fake/b25.yaml"} <= set(fast.config_files)
    assert fast.alert_time_scale == 10
