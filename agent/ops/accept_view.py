"""`kentongan accept-view`: say on the box that a camera's view is right as it is, and that what is drawn holds for it.

It leaves a wish in the state folder, where the running agent finds it within a second, and waits for the answer. While
the agent is not running the wish stays there and is granted when it runs and the camera is live.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

from agent.config.load import load_config
from agent.config.schema import Config
from agent.errors import KentonganError, OutputError
from agent.wishes import ANSWER, WISH

PATIENCE_S: Final = 10.0
_POLL_S: Final = 0.1


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("config", type=Path, help="the configuration of the running agent")
    parser.add_argument("camera", help="the camera's name in it")
    parser.add_argument("--wait", type=float, default=PATIENCE_S, metavar="S", help="for the answer; default 10")


def execute(args: argparse.Namespace) -> int:
    """Ask, wait, and print the answer."""
    config = load_config(args.config)
    print(ask(config, args.camera, args.wait))
    return 0


def ask(config: Config, camera: str, patience_s: float) -> str:
    """Leave the wish and wait for its answer.

    Raises:
        KentonganError: There is no such camera, the agent refuses, or nobody answers.
        OutputError: The state folder can't be written.
    """
    if camera not in {each.name for each in config.cameras}:
        known = ", ".join(each.name for each in config.cameras)
        raise KentonganError(f"{camera}: there is no such camera in the configuration, only {known}")
    wish = config.state_dir / f"{WISH}{camera}"
    answer = wish.with_name(wish.name + ANSWER)
    try:
        _leave(wish, answer)
        _await(camera, wish, answer, time.monotonic() + patience_s)
    except KeyboardInterrupt:
        wish.unlink(missing_ok=True)  # who gives up waiting does not expect it to be granted some day
        raise
    told = answer.read_text(encoding="utf-8").strip()
    answer.unlink(missing_ok=True)
    if not told.startswith("ok"):
        raise KentonganError(told)
    return f"{camera}: {told}"


def _leave(wish: Path, answer: Path) -> None:
    try:
        answer.unlink(missing_ok=True)
        wish.touch()
    except OSError as error:
        raise OutputError(f"{wish} can't be written: {error.strerror}; run this as the agent's user or root") from error


def _await(camera: str, wish: Path, answer: Path, until_s: float) -> None:
    while not answer.exists():
        if time.monotonic() > until_s and not wish.exists():
            raise KentonganError(f"{camera}: the agent took the wish but gave no answer in time; see its log")
        if time.monotonic() > until_s:
            raise KentonganError(
                f"{camera}: no agent answers, so nothing is accepted yet; the wish is kept, and is granted when the "
                f"agent runs and the camera is live. To take it back: rm {wish}"
            )
        time.sleep(_POLL_S)
