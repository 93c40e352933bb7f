"""`tapeline demo` and `tapeline fault`: everything brought up from nothing, and made to fail."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tapeline.commands.parsers import Commands

__all__ = ["add_demo_commands"]

# A folder of its own: a demo that ends must not remove what `stack up --keep` kept.
_RUN_DIR: Final = Path(".tapeline/demo")
_DESK_RATE_PER_S: Final = 5.0
_FLOOR_RATE_PER_S: Final = 2.0
_FLOOR_OPTIONS: Final = ("systems", "scenario", "time_scale", "tape", "without_desk")


def add_demo_commands(commands: "Commands") -> None:
    """Add the commands to the command line."""
    _add_demo(commands.add_parser("demo", help="the stack, and services that trade on it"))
    _add_fault(commands.add_parser("fault", help="make something go wrong on a running floor"))


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Brings everything up from nothing: collector, gate, Prometheus, Loki, Jaeger,"
        " node_exporter, and services that trade with each other and now and then leak a"
        " credential. Servers that have to be built join as they are ready. Ctrl-C stops and"
        " removes it all. `demo floor` runs four whole trading systems beside them, `demo services`"
        " the services alone."
    )
    parser.add_argument("part", nargs="?", choices=("all", "services", "floor"), default="all")
    parser.add_argument(
        "--rate",
        type=float,
        default=None,
        help=f"orders a second (default: {_DESK_RATE_PER_S:g}; floor: {_FLOOR_RATE_PER_S:g} each)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the market and the leaks")
    parser.add_argument(
        "--duration", default=None, help="stop by itself after this long, as 90s or 10m"
    )
    _add_run_dir(parser)
    parser.add_argument(
        "--port-base", type=int, default=None, help="use consecutive ports from here on"
    )
    floor = parser.add_argument_group("of the floor")
    floor.add_argument("--systems", nargs="+", metavar="NAME", help="these systems only")
    floor.add_argument(
        "--scenario",
        action="append",
        metavar="NAME[@BEGIN[+DURATION]]",
        help="a fault and when, as latency_spike@60s+2m; may be given several times",
    )
    floor.add_argument(
        "--time-scale",
        type=int,
        metavar="N",
        help="divide the alerts' windows and waits by N, to see them sooner (default: 1)",
    )
    floor.add_argument(
        "--tape", type=Path, default=None, metavar="CSV", help="recorded quotes as the market"
    )
    floor.add_argument(
        "--without-desk",
        action="store_const",
        const=True,
        help="the systems alone, without the demo's services",
    )
    parser.set_defaults(handler=_demo)


def _add_fault(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Switches a fault of a running `tapeline demo floor` on, or off."
        " An unknown name lists them."
    )
    parser.add_argument("name", metavar="SCENARIO", help="which, as latency_spike")
    switch = parser.add_mutually_exclusive_group()
    switch.add_argument("--off", action="store_true", help="switch it off")
    switch.add_argument(
        "--for", dest="duration", default=None, metavar="TIME", help="switch it off after so long"
    )
    _add_run_dir(parser)
    parser.set_defaults(handler=_fault)


def _add_run_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run-dir", type=Path, default=_RUN_DIR, help=f"its folder (default: {_RUN_DIR})"
    )


def _demo(options: argparse.Namespace) -> int:
    if options.part == "floor":
        return _floor(options)
    for name in _FLOOR_OPTIONS:
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            sys.stderr.write(f"tapeline demo: {option} is an option of `tapeline demo floor`\n")
            return 2
    from tapeline.demo.command import demo_command

    return demo_command(
        options.part,
        rate=_DESK_RATE_PER_S if options.rate is None else options.rate,
        seed=options.seed,
        duration=options.duration,
        run_dir=options.run_dir,
        port_base=options.port_base,
    )


def _floor(options: argparse.Namespace) -> int:
    from tapeline.floor.command import FloorChoices, floor_command

    return floor_command(
        FloorChoices(
            run_dir=options.run_dir,
            systems=options.systems or (),
            rate=_FLOOR_RATE_PER_S if options.rate is None else options.rate,
            seed=options.seed,
            duration=options.duration,
            port_base=options.port_base,
            time_scale=1 if options.time_scale is None else options.time_scale,
            scenarios=options.scenario or (),
            tape=options.tape,
            desk=not options.without_desk,
        )
    )


def _fault(options: argparse.Namespace) -> int:
    from tapeline.floor.command import fault_command

    return fault_command(options.name, options.run_dir, off=options.off, duration=options.duration)
