"""`kentongan release`: the maintainer's command line, one small function a step.

Passphrases are asked for on the terminal, or read from a file; they are never an argument, which others could see.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from agent.config.schema import Login, Mqtt, Tls
from agent.mqtt.topics import ROOT
from agent.release.desk import make_golden, read_pictures
from agent.release.faults import ReleaseError
from agent.release.fleet import Fleet
from agent.release.founding import Founded, Quorum, Quorums, found
from agent.release.keys import SCRYPT_N, create_key, read_key, unlock
from agent.release.offering import (
    add_configuration,
    add_model,
    change_rollout,
    model_offers,
    report_outcomes,
    rollout_of,
    withdraw,
)
from agent.release.overview import next_step, overview, whom
from agent.release.publishing import publish
from agent.release.rotation import rotate, rotate_online
from agent.release.signing import sign
from agent.release.workspace import OFFLINE_ROLES, ONLINE_ROLES, Expiry, Workspace
from agent.update.durable import Disk
from agent.update.patch import ALLOWED, EXAMPLE

ONLINE_PASSPHRASE: Final = "KENTONGAN_ONLINE_PASSPHRASE"  # noqa: S105 - the name of a variable, not its value
_LEAST_PASSPHRASE: Final = 8
_CONFIGURATION_FORM: Final = f"""\
a configuration is a YAML file of this form (a whole one is configs/signed/gate.yaml in the source):

{EXAMPLE}
It may set {", ".join(ALLOWED)} of cameras that the box has. What it sets replaces what the box had; the rest stays.
"""

_Configure = Callable[[argparse.ArgumentParser], None]
_Execute = Callable[[argparse.Namespace], int]


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of every step."""
    steps = parser.add_subparsers(title="steps", metavar="STEP", required=True)
    for name, summary, arguments, execute_step in _STEPS:
        own = steps.add_parser(name, help=summary, description=summary)
        own.add_argument("folder", type=Path, help="the release folder")
        arguments(own)
        own.set_defaults(execute_step=execute_step)


def execute(args: argparse.Namespace) -> int:
    """Do one step.

    Raises:
        ReleaseError: It can't be done.
    """
    code: int = args.execute_step(args)
    return code


# init


def _init_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keys", type=Path, action="append", required=True, help="where offline keys go; may repeat")
    parser.add_argument("--passphrase-file", type=Path, help="a file with the passphrase for the offline keys")
    for role, quorum in (("root", "2/3"), ("targets", "2/3"), ("configuration", "1/2")):
        parser.add_argument(f"--{role}", type=_quorum, default=_quorum(quorum), help=f"needed/keys, default {quorum}")
    for role in (*OFFLINE_ROLES, *ONLINE_ROLES):
        parser.add_argument(f"--{role}-days", type=int, default=getattr(Expiry(), role), help=argparse.SUPPRESS)
    parser.add_argument("--scrypt-n", type=int, default=SCRYPT_N, help=argparse.SUPPRESS)


def _init(args: argparse.Namespace) -> int:
    workspace = Workspace(args.folder)
    days = {role: getattr(args, f"{role}_days") for role in (*OFFLINE_ROLES, *ONLINE_ROLES)}
    founded: Founded = found(
        workspace,
        args.keys,
        _passphrases(args, new=True),
        quorums=Quorums(args.root, args.targets, args.configuration),
        expiry=Expiry(**days),
        online_passphrase=_online_passphrase(),
        scrypt_n=args.scrypt_n,
    )
    publish(workspace, online_passphrase=_online_passphrase())
    pinned = args.folder / "root.json"
    Disk().write(pinned, (workspace.public / "metadata" / "1.root.json").read_bytes())
    pinned.chmod(0o644)  # no secret: every box reads it, as a user of its own
    for role, files in founded.keys.items():
        for file in files:
            print(f"{role:14} {file.key.keyid[:12]}  {file.path}")
    print(f"install {pinned} on every box (update: root_file); serve {workspace.public}")
    return 0


# golden, add, rollout, withdraw


def _golden_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+", help="PNG or JPEG with traffic; they go to every box")
    parser.add_argument("--out", type=Path, required=True)


def _golden(args: argparse.Namespace) -> int:
    golden = make_golden(args.model, read_pictures(args.pictures))
    try:
        Disk().write(args.out, golden)
    except OSError as error:
        raise ReleaseError(f"{args.out} can't be written: {error.strerror}; name another --out") from error
    print(f"{args.out}: {len(args.pictures)} pictures")
    return 0


def _rules_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--percent", type=int, help="share of the boxes, 0 to 100")
    parser.add_argument("--groups", nargs="+")
    parser.add_argument("--hardware", nargs="+", help="such as aarch64 or jetson")
    parser.add_argument("--min-agent")
    parser.add_argument("--max-agent")
    parser.add_argument("--hold-percent", type=int, help="stop when more than so many of those that tried it failed")
    parser.add_argument("--hold-least", type=int, help="but not before so many failed")


def _rules(args: argparse.Namespace) -> dict[str, Any]:
    """The rules that were given, and no others."""
    rules = {
        "percent": args.percent,
        "groups": args.groups,
        "hardware": args.hardware,
        "min_agent": args.min_agent,
        "max_agent": args.max_agent,
    }
    hold = {"failed_percent": args.hold_percent, "min_failed": args.hold_least}
    given = {name: value for name, value in rules.items() if value is not None}
    if any(value is not None for value in hold.values()):
        given["hold"] = {name: value for name, value in hold.items() if value is not None}
    return given


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _CONFIGURATION_FORM
    parser.add_argument("file", type=Path, help="a model, or a configuration with --device or --group")
    parser.add_argument("--slot", help="the model's name in the boxes' configurations")
    parser.add_argument("--golden", type=Path, help="from: kentongan release golden")
    parser.add_argument("--max-slowdown-percent", type=int, default=300)
    parser.add_argument("--device")
    parser.add_argument("--group")
    parser.add_argument("--why", default="")
    _rules_arguments(parser)


def _add(args: argparse.Namespace) -> int:
    workspace, rollout = Workspace(args.folder), rollout_of(_rules(args))
    if args.device or args.group:
        offer = add_configuration(workspace, args.file, device=args.device, group=args.group, rollout=rollout)
        print(f"configuration for {args.device or args.group}, number {offer.serial}: staged")
    elif args.slot is None:
        raise ReleaseError("for whom is it? give --slot for a model, --device or --group for a configuration")
    else:
        model = add_model(
            workspace,
            args.file,
            slot=args.slot,
            golden=args.golden,
            rollout=rollout,
            max_slowdown_percent=args.max_slowdown_percent,
            why=args.why,
        )
        print(f"{args.slot} release {model.serial} ({model.name} {model.version}), {whom(model.rollout)}: staged")
        if args.golden is None:
            print(
                "note: without golden frames no box checks that it sees what was seen at your desk, and it goes to "
                f"{whom(model.rollout)} of the boxes; give --golden, and a small --percent first"
            )
    return _say_what_is_next(workspace)


def _rollout_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slot")
    parser.add_argument("serial", type=int)
    parser.add_argument("--again", action="store_true", help="boxes that blocked the file may try once more")
    _rules_arguments(parser)


def _rollout(args: argparse.Namespace) -> int:
    workspace = Workspace(args.folder)
    offer = change_rollout(workspace, args.slot, args.serial, again=args.again, **_rules(args))
    print(f"{args.slot} release {offer.serial}, {whom(offer.rollout)}: staged")
    return _say_what_is_next(workspace)


def _withdraw_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slot")
    parser.add_argument("serial", type=int)
    parser.add_argument("--why", required=True)
    parser.add_argument("--back-to", type=int, help="an earlier release that becomes the newest again")


def _withdraw(args: argparse.Namespace) -> int:
    workspace = Workspace(args.folder)
    for offer in withdraw(workspace, args.slot, args.serial, args.why, back_to=args.back_to):
        print(f"{args.slot} release {offer.serial} ({offer.version}): {'withdrawn' if offer.withdrawn else 'back'}")
    return _say_what_is_next(workspace)


# sign, publish, rotate


def _sign_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", type=Path, action="append", required=True, help="a key file; may repeat")
    parser.add_argument("--passphrase-file", type=Path)


def _sign(args: argparse.Namespace) -> int:
    workspace, passphrase = Workspace(args.folder), _passphrases(args, new=False)
    given = sign(workspace, [unlock(path, passphrase(str(path))) for path in args.key])
    if not given:
        who = f"see whose can: kentongan release status {args.folder}"
        raise ReleaseError(f"none of these keys may sign anything that is staged; {who}")
    for line in given:
        print(f"signed {line}")
    return _say_what_is_next(workspace)


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", type=Path, help="copy the result there as well")


def _publish(args: argparse.Namespace) -> int:
    for name in publish(Workspace(args.folder), online_passphrase=_online_passphrase(), to=args.to):
        print(f"published {name}")
    return 0


def _rotate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("role", choices=[*OFFLINE_ROLES, *ONLINE_ROLES])
    parser.add_argument("--drop", action="append", default=[], help="beginning of a key id; may repeat")
    parser.add_argument("--add", type=Path, action="append", default=[], help="an existing key file; may repeat")
    parser.add_argument("--new", type=Path, action="append", default=[], help="a key file to make; may repeat")
    parser.add_argument("--threshold", type=int)
    parser.add_argument("--passphrase-file", type=Path)
    parser.add_argument("--scrypt-n", type=int, default=SCRYPT_N, help=argparse.SUPPRESS)


def _rotate(args: argparse.Namespace) -> int:
    workspace = Workspace(args.folder)
    if args.role in ONLINE_ROLES:
        file = rotate_online(workspace, args.role, _online_passphrase(), scrypt_n=args.scrypt_n)
        print(f"new {args.role} key {file.key.keyid[:12]}: staged")
        return _say_what_is_next(workspace)
    passphrase = _passphrases(args, new=True)
    made = [create_key(path, path.stem, passphrase(path.stem), scrypt_n=args.scrypt_n) for path in args.new]
    added = [*(read_key(path) for path in args.add), *made]
    rotate(workspace, args.role, add=added, drop=args.drop, threshold=args.threshold)
    print(f"keys of {args.role}: staged")
    return _say_what_is_next(workspace)


# status


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--broker", help="ask the fleet there; without it only the repository is shown")
    parser.add_argument("--port", type=int, help="default: 8883, or 1883 with --plaintext")
    parser.add_argument("--plaintext", action="store_true")
    parser.add_argument("--ca-file", type=Path)
    parser.add_argument("--user")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--seconds", type=float, default=75, help="how long to listen; boxes speak once a minute")
    parser.add_argument("--report", action="store_true", help="stage what the fleet says, so that boxes can hold")


def _status(args: argparse.Namespace) -> int:
    workspace, console = Workspace(args.folder), Console()
    for line in overview(workspace):
        print(line)
    if args.broker is None:
        return 0
    fleet = _listen(args)
    console.print(fleet.table())
    print(fleet.summary())
    if args.report:
        for slot in sorted({offer.slot for offer in model_offers(workspace).values()}):
            report_outcomes(workspace, slot, fleet.outcomes(slot))
            print(f"{slot}: outcomes staged; publish them with: kentongan release publish {args.folder}")
    return 0


def _listen(args: argparse.Namespace) -> Fleet:
    from agent.ops.watch import Subscription  # noqa: PLC0415 - only this step speaks with a broker

    settings = Mqtt(
        host=args.broker,
        port=args.port or (1883 if args.plaintext else 8883),
        plaintext=args.plaintext,
        tls=Tls(ca_file=args.ca_file),
        login=Login(user=args.user, password_file=args.password_file),
    )
    fleet, end_s = Fleet(), time.monotonic() + args.seconds
    subscription = Subscription(settings, f"{ROOT}/#")
    try:
        while (left_s := end_s - time.monotonic()) > 0:
            message = subscription.next(min(left_s, 1.0))
            if message is not None:
                fleet.take(*message)
    finally:
        subscription.close()
    return fleet


# Small parts


def _quorum(text: str) -> Quorum:
    needed, slash, keys = text.partition("/")
    if not (slash and needed.isdigit() and keys.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no quorum; write needed/keys, such as 2/3")
    try:
        return Quorum(keys=int(keys), threshold=int(needed))
    except ReleaseError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _passphrases(args: argparse.Namespace, *, new: bool) -> Callable[[str], str]:
    """Where passphrases come from: the file that was named, or the terminal, once for all keys of a command."""
    if args.passphrase_file is not None:
        try:
            words = args.passphrase_file.read_text(encoding="utf-8").strip("\r\n")
        except OSError as error:
            raise ReleaseError(f"{args.passphrase_file} can't be read: {error.strerror}") from error
        return _long_enough(words, new=new)
    if not sys.stdin.isatty():
        raise ReleaseError("there is no terminal to ask for the passphrase on; give --passphrase-file")
    if not new:
        return lambda name: getpass.getpass(f"passphrase of {name}: ")
    words = getpass.getpass("passphrase for the new keys: ")
    if words != getpass.getpass("once more: "):
        raise ReleaseError("the two passphrases differ; nothing was made, try again")
    return _long_enough(words, new=new)


def _long_enough(words: str, *, new: bool) -> Callable[[str], str]:
    if new and len(words) < _LEAST_PASSPHRASE:
        raise ReleaseError(f"the passphrase is shorter than {_LEAST_PASSPHRASE} characters; choose a longer one")
    return lambda _name: words


def _online_passphrase() -> str:
    return os.environ.get(ONLINE_PASSPHRASE, "")


def _say_what_is_next(workspace: Workspace) -> int:
    for line in next_step(workspace):
        print(line)
    return 0


_STEPS: Final[tuple[tuple[str, str, _Configure, _Execute], ...]] = (
    ("init", "make keys and an empty signed repository", _init_arguments, _init),
    ("golden", "make golden frames from pictures", _golden_arguments, _golden),
    ("add", "put a model or a configuration on offer", _add_arguments, _add),
    ("rollout", "change which boxes may take a release", _rollout_arguments, _rollout),
    ("withdraw", "take a release back", _withdraw_arguments, _withdraw),
    ("sign", "sign what is staged with keys from a stick", _sign_arguments, _sign),
    ("publish", "publish what is signed, and renew the proof of freshness", _publish_arguments, _publish),
    ("rotate", "change the keys of a role", _rotate_arguments, _rotate),
    ("status", "what is on offer, and how the fleet fares", _status_arguments, _status),
)
