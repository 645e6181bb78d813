"""What people may ask of a running box about its cameras: over the broker, or with a file on the box itself.

Every wish is done between two pictures, is durable before it is answered, and is logged. On the box a wish is an
empty file in the state folder, named after the wish and the camera; its answer is a file beside it. Whoever may write
there is the box's owner.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, Protocol

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from agent.clock import Clock
from agent.errors import KentonganError
from agent.mqtt.commands import Order
from agent.records import Record, Scalar
from agent.watching import Lane, WatchLoop

LOG: Final = logging.getLogger("kentongan.wishes")
WISH: Final = "accept-view."
ANSWER: Final = ".answer"
DURABLE_S: Final = 2.0
"""How long the disk may take."""


class Keeper(Protocol):
    """Who makes state durable: the outbox's writer."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until all it was given is durable; ``False`` when it is not in time."""
        ...


@checked_dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid"))
class CameraArgs:
    """A command about one camera."""

    camera: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Wishes:
    """The wishes of one box.

    Args:
        loop: Gives the loop that looks at the cameras; it is made after the link that carries commands.
        keeper: Makes durable what came of them.
        clock: The agent's clock.
        folder: The state folder, where wishes made on the box lie.
    """

    def __init__(self, loop: Callable[[], WatchLoop], keeper: Keeper, clock: Clock, folder: Path) -> None:
        self._loop, self._keeper, self._clock, self._folder = loop, keeper, clock, folder

    def orders(self) -> tuple[Order, ...]:
        """As commands from the broker."""
        return (Order("accept_view", CameraArgs, self._ordered),)

    def accept_view(self, camera: str) -> str:
        """Take what a camera shows as its view; durable when this returns.

        Returns:
            What the view was thought to be before.

        Raises:
            KentonganError: It can't be done now; the sentence says why.
        """
        was = self._loop().ask(camera, self._accept)
        if not self._keeper.flush(DURABLE_S):
            raise KentonganError(f"{camera}: its view is accepted but can't be written to the disk; see the log")
        LOG.info("camera %s: its view was accepted as it is; it was thought to be %s", camera, was)
        return was

    def hear(self) -> None:
        """Do what was asked for on the box since the last call; never raises."""
        try:
            asked = sorted(path for path in self._folder.glob(f"{WISH}*") if not path.name.endswith(ANSWER))
        except OSError:
            return
        for path in asked:
            camera = path.name.removeprefix(WISH)
            try:
                answer = f"ok: its view is the one that lines and zones are drawn on; it was {self.accept_view(camera)}"
            except KentonganError as error:
                LOG.warning("%s", error)
                answer = str(error)
            try:
                path.with_name(path.name + ANSWER).write_text(answer + "\n", encoding="utf-8")
                path.unlink()
            except OSError as error:
                LOG.warning("%s: can't be answered: %s", path, error)

    def _ordered(self, args: CameraArgs) -> Mapping[str, Scalar]:
        return {"camera": args.camera, "was": self.accept_view(args.camera)}

    def _accept(self, lane: Lane) -> tuple[str, list[Record]]:
        if lane.told is None or lane.told.state != "live":
            raise KentonganError(f"{lane.name}: it gives no picture now; accept its view when it does")
        return lane.pipeline.accept_view(self._clock.now())
