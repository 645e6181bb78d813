"""The command line: a table of commands, one module each.

Only the module of the command that was asked for is imported, so that `kentongan --help` is quick on a small box.
A fault that the agent can explain ends in one sentence on standard error and an exit code of sysexits.h.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Final

from agent.config.redact import redact
from agent.errors import KentonganError
from agent.installation import how_to_add
from agent.logs import set_up_logging
from agent.version import VERSION

_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Command:
    """One word after `kentongan`: its module has `configure(parser)` and `execute(args) -> exit code`."""

    name: str
    summary: str
    module: str


COMMANDS: Final = (
    Command("run", "watch the cameras of a configuration and publish to its broker", "agent.ops.run"),
    Command("check", "say everything that is wrong with a configuration", "agent.ops.check"),
    Command("demo", "show real video becoming counts and events, with no camera and no broker", "agent.ops.demo"),
    Command("replay", "count a video file: records, a table, an annotated video, a plot", "agent.ops.replay"),
    Command("watch", "a live table of what a broker receives", "agent.ops.watch"),
    Command("bench", "measure speed, time by stage and memory", "agent.ops.bench"),
    Command("models", "list, inspect, describe, evaluate and quantise models", "agent.ops.models"),
    Command("receive", "the reference receiver: validate, store, drop duplicates, acknowledge", "agent.ops.receive"),
    Command("release", "ship models to boxes, safely: the maintainer's side", "agent.release.cli"),
    Command("evidence", "clips around alarms: list, prove, open them, make keys", "agent.ops.evidence"),
    Command("schema", "write the JSON Schemas and the AsyncAPI document of the wire contract", "agent.ops.schemas"),
    Command("accept-view", "say that a camera's view is right as it is", "agent.ops.accept_view"),
    Command("unit", "print a systemd drop-in that allows only the configuration's addresses", "agent.ops.unit"),
)


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser of the whole command line, with the arguments of the chosen command only."""
    parser = argparse.ArgumentParser(
        prog="kentongan",
        description="Video in, events and counts out: what a city's cameras see, over MQTT. Video stays on the box.",
    )
    parser.add_argument("--version", action="version", version=f"kentongan {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        own = commands.add_parser(command.name, help=command.summary, description=f"Kentongan: {command.summary}.")
        own.add_argument("-v", "--verbose", action="count", default=0, help="say more in the log; twice for everything")
        if command.name == chosen:
            module = _module_of(command)
            module.configure(own)
            own.set_defaults(execute=module.execute)
    return parser


def _module_of(command: Command) -> ModuleType:
    """The module of a command; one whose extra is not installed gets a sentence."""
    try:
        return importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "agent":
            raise
        raise KentonganError(
            f"`kentongan {command.name}` needs the package {error.name}, which is an extra; "
            f"install them all: {how_to_add('demo', 'report', 'models', 'update', 'evidence', 'postgres')}"
        ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after `kentongan`; those of the process by default.

    Returns:
        The exit code: 0, 2 for words that make no command, 130 after Ctrl-C, else one of sysexits.h.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in words if not word.startswith("-")), None)
    try:
        args = build_parser(chosen).parse_args(words)
        set_up_logging(args.verbose)
        code: int = args.execute(args)
        sys.stdout.flush()
    except KentonganError as error:
        print(f"kentongan: {redact(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output (head, less) has gone; flushing at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
