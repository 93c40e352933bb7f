"""The command line. Each command is imported when it is asked for, so that `serve` starts fast.

Exit codes, for every command: 0 done; 1 it ran and found or met something wrong; 2 wrong usage or
an unusable configuration; 130 interrupted.
"""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tapeline.commands.alerts import add_alert_commands
from tapeline.commands.archive import add_archive_commands
from tapeline.commands.backup import add_backup_commands
from tapeline.commands.demo import add_demo_commands
from tapeline.commands.kit import add_kit_commands
from tapeline.commands.parsers import add_config
from tapeline.commands.recordings import add_recording_commands
from tapeline.commands.report import add_report_commands
from tapeline.commands.tap import add_tap_commands
from tapeline.commands.testing import add_testing_commands

if TYPE_CHECKING:
    from tapeline.signals.config import SignalsConfig

__all__ = ["main"]

_EPILOG: Final = """\
exit codes:
  0    done, nothing wrong
  1    it ran, and found or met something wrong (the message says what)
  2    wrong usage, or a configuration that can't be used
  130  interrupted
"""
_SIGNALS_CONFIG: Final = Path("config/signals.yaml")
_HOPS: Final = (
    "collector",
    "collector_health",
    "prometheus",
    "loki",
    "jaeger",
    "alertmanager",
    "signals",
    "signals_admin",
)

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Handler = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    if sys.stderr is None:  # Closed by whoever started this: what is told is told to nobody.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good
    options = _parser().parse_args(arguments)
    handler: Handler = options.handler
    try:
        code = handler(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # As in `tapeline check --schema | head`. Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        # Never 1: to `diff` and `test` that is a result.
        sys.stderr.write(f"tapeline: what it has to say can't be written: {error.strerror}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tapeline",
        description="Python processors behind a stock OpenTelemetry Collector.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    version = commands.add_parser("version", help="print the version, and which form runs")
    version.set_defaults(handler=_version)
    _add_serve(commands.add_parser("serve", help="run the sidecar"))
    _add_check(commands.add_parser("check", help="validate a configuration; print what would run"))
    add_recording_commands(commands)
    add_testing_commands(commands)
    add_kit_commands(commands)
    add_tap_commands(commands)
    add_alert_commands(commands)
    add_report_commands(commands)
    add_archive_commands(commands)
    add_backup_commands(commands)
    _add_explain(
        commands.add_parser("explain", help="say what the redaction finds in a text, and why")
    )
    _add_signals(commands.add_parser("signals", help="positions and P&L from the kept state"))
    _add_stack(commands.add_parser("stack", help="run the whole stack as child processes"))
    _add_doctor(commands.add_parser("doctor", help="walk every hop; name the one that fails"))
    add_demo_commands(commands)
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs the sidecar until SIGTERM or Ctrl-C, then finishes what is in flight and exits 0."
        " SIGHUP reads the configuration again; a bad one is refused and the old one stays."
    )
    add_config(parser)
    parser.set_defaults(handler=_serve)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Validates a configuration, compiles every rule, runs each rule's own examples and prints"
        " what would run. With"
        " --collector it also reads the collector's YAML and finds loops, leaks before the gate,"
        " missing queues and limits that don't fit."
    )
    add_config(parser)
    _add_collector(parser)
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of the configuration instead"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(handler=_check)


def _add_collector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--collector",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="the files of one collector process, in the order of its own --config flags",
    )


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Says which rule of the redaction finds what in a text, where, through which encodings, and"
        " which filter lets what pass; then the redacted text. Exits 1 where there is a secret, 0"
        " where there is none. The text stands in the shell's history: for a real secret use -."
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=None,
        metavar="FILE",
        help="the sidecar's configuration (default: the built-in rules)",
    )
    parser.add_argument("text", metavar="TEXT", help="a text; - for standard input")
    parser.add_argument("--key", default=None, metavar="NAME", help="the name it stands under")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(handler=_explain)


def _add_signals(parser: argparse.ArgumentParser) -> None:
    parser.description = "Reads the state that the signals sidecar keeps; it may run meanwhile."
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print positions, P&L and portfolios")
    show.add_argument("--json", action="store_true", help="print JSON, for programs")
    verify = actions.add_parser(
        "verify",
        help="recompute from the last checkpoint, and compare",
        description="Replays the events between the last two checkpoints of each worker and"
        " compares what they make with the newer one, to the last digit. Exits 1 where it differs.",
    )
    for action, handler in ((show, _signals_show), (verify, _signals_verify)):
        action.add_argument(
            "--config",
            type=Path,
            default=_SIGNALS_CONFIG,
            metavar="FILE",
            help=f"the sidecar's configuration (default: {_SIGNALS_CONFIG})",
        )
        action.set_defaults(handler=handler)


def _add_stack(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build",
        help="build the servers from pinned Go modules",
        description="Builds the servers into a cache outside the tree; about 25 minutes once.",
    )
    build.add_argument("names", nargs="*", metavar="NAME", help="servers (default: all)")
    build.set_defaults(handler=_stack_build)
    up = actions.add_parser("up", help="start collector, gate, signals and backends")
    up.add_argument("--detach", action="store_true", help="return once everything is ready")
    up.add_argument(
        "--join", action="store_true", help="build what is missing and let it join when it is ready"
    )
    up.set_defaults(handler=_stack_up)
    down = actions.add_parser("down", help="stop what `up` started")
    down.set_defaults(handler=_stack_down)
    status = actions.add_parser("status", help="say what runs and answers")
    status.add_argument("--json", action="store_true", help="print JSON, for programs")
    status.set_defaults(handler=_stack_status)
    for action in (up, down, status):
        action.add_argument(
            "--run-dir",
            type=Path,
            default=Path(".tapeline"),
            help="its folder (default: .tapeline)",
        )
    up.add_argument("--keep", action="store_true", help="keep the data when it stops")
    up.add_argument(
        "--port-base", type=int, default=None, help="use consecutive ports from here on"
    )


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Walks every hop of a running stack, from the collector's OTLP port to the backends, and"
        " names each that fails, with the fix. --collector reads the collector's YAML as well."
    )
    add_config(parser)
    _add_collector(parser)
    for hop in _HOPS:
        parser.add_argument(
            f"--{hop.replace('_', '-')}-address",
            default=None,
            metavar="ADDRESS",
            help=f"where to find {hop.replace('_', ' ')}; an empty one leaves it out",
        )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(handler=_doctor)


def _version(_: argparse.Namespace) -> int:
    from tapeline import __version__
    from tapeline.pipeline.form import running_form

    print(f"tapeline {__version__} ({running_form()})")
    return 0


def _serve(options: argparse.Namespace) -> int:
    from tapeline.serve import serve_command

    return serve_command(options.config)


def _check(options: argparse.Namespace) -> int:
    from tapeline.doctor.command import check_command, schema_command

    if options.schema:
        return schema_command()
    return check_command(options.config, options.collector, as_json=options.json)


def _explain(options: argparse.Namespace) -> int:
    from tapeline.doctor.command import explain_from

    return explain_from(options.config, options.text, options.key, as_json=options.json)


def _signals_show(options: argparse.Namespace) -> int:
    from tapeline.signals.command import show_command

    return _with_signals(
        options.config,
        lambda section, workers: show_command(section, workers, as_json=options.json),
    )


def _signals_verify(options: argparse.Namespace) -> int:
    from tapeline.signals.command import verify_command

    return _with_signals(options.config, verify_command)


def _with_signals(config: Path, run: "Callable[[SignalsConfig, int], int]") -> int:
    """Run a command on the section `signals` of a configuration, and its count of workers."""
    from tapeline.pipeline.loader import ConfigError
    from tapeline.settings import load_settings
    from tapeline.signals.config import SignalsConfig

    try:
        settings = load_settings(config)
        section = settings.sections.get("signals")
        if isinstance(section, SignalsConfig):
            return run(section, settings.server.workers)
        problems = [f"{config}: no chain names the processor signals, and there is no such section"]
    except ConfigError as error:
        problems = list(error.problems)
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 2


def _stack_build(options: argparse.Namespace) -> int:
    from tapeline.stack.binaries import build_command

    return build_command(options.names)


def _stack_up(options: argparse.Namespace) -> int:
    from tapeline.stack.command import up_command

    return up_command(
        options.run_dir,
        detach=options.detach,
        join=options.join,
        keep=options.keep,
        port_base=options.port_base,
    )


def _stack_down(options: argparse.Namespace) -> int:
    from tapeline.stack.command import down_command

    return down_command(options.run_dir)


def _stack_status(options: argparse.Namespace) -> int:
    from tapeline.stack.command import status_command

    return status_command(options.run_dir, as_json=options.json)


def _doctor(options: argparse.Namespace) -> int:
    from tapeline.doctor.command import doctor_command

    given = {hop: getattr(options, f"{hop}_address") for hop in _HOPS}
    overrides = {hop: address for hop, address in given.items() if address is not None}
    return doctor_command(options.config, options.collector, overrides, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
