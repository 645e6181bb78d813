"""What people may ask of a running box about its cameras: over the broker, or with a file on the box itself.

Every wish is done between two pictures, what it changes in the stored state is durable before it is answered, and it is
logged. That a view is accepted can also be wished on the box: with an empty file in the state folder, named after the
wish and the camera; it is taken away, then granted, and its answer is a file beside it. Whoever may write there is the
box's owner.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Protocol, TypeAlias

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from agent.changes import ChangeError
from agent.clock import Clock
from agent.errors import KentonganError
from agent.mqtt.commands import Order
from agent.records import Record, Scalar
from agent.watching import Lane, WatchLoop, Wish

LOG: Final = logging.getLogger("kentongan.wishes")
WISH: Final = "accept-view."
ANSWER: Final = ".answer"
ASK_S: Final = 3.0
"""How long a wish waits for its turn: a turn of the loop takes less on any box that works."""
DURABLE_S: Final = 2.0
"""How long the disk may take."""
_STRICT: Final = ConfigDict(extra="forbid")
_Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Keeper(Protocol):
    """Who makes state durable: the outbox's writer."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until all it was given is durable; ``False`` when it is not in time."""
        ...


@checked_dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class CameraArgs:
    """A command about one camera."""

    camera: _Name


@checked_dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class RegionArgs:
    """A command about one protected region of a camera."""

    camera: _Name
    region: _Name


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
        self._seen_live: set[str] = set()
        self._stuck: set[Path] = set()

    def orders(self) -> tuple[Order, ...]:
        """As commands from the broker."""
        return Order("accept_view", CameraArgs, self._view_ordered), Order("accept", RegionArgs, self._region_ordered)

    def accept_view(self, camera: str) -> str:
        """Take what a camera shows as its view; durable when this returns.

        Returns:
            What the view was thought to be before.

        Raises:
            KentonganError: It can't be done now; the sentence says why.
        """
        was = self._done(camera, self._take_view)
        LOG.info("camera %s: its view was accepted as it is; it was thought to be %s", camera, was)
        return was

    def accept(self, camera: str, region: str) -> None:
        """Let a protected region look as it does now: a new sign, another bench; an event about it ends.

        It holds from the next look at the region on, and over any restart: how it looked before is forgotten now.

        Raises:
            KentonganError: There is no such camera or region, or it can't be done now; the sentence says why.
        """
        self._done(camera, partial(_take_region, region))
        LOG.info("camera %s: how its protected region %s looks was accepted", camera, region)

    def hear(self) -> None:
        """Do what was asked for on the box since the last call; never raises."""
        links = self._loop().links()
        self._seen_live |= {name for name, link in links.items() if link is not None and link.state == "live"}
        try:
            asked = sorted(path for path in self._folder.glob(f"{WISH}*") if not path.name.endswith(ANSWER))
        except OSError:
            return
        for path in asked:
            camera = path.name.removeprefix(WISH)
            if not self._was_live(camera) or not self._taken(path):
                continue
            try:
                answer = f"ok: its view is the one that lines and zones are drawn on; it was {self.accept_view(camera)}"
            except KentonganError as error:
                LOG.warning("%s", error)
                answer = str(error)
            try:
                written = path.with_name("." + path.name)  # renamed when whole: who waits reads at once
                written.write_text(answer + "\n", encoding="utf-8")
                written.replace(path.with_name(path.name + ANSWER))
            except OSError as error:
                LOG.warning("%s: can't be answered: %s", path, error)

    def _was_live(self, camera: str) -> bool:
        """Whether a camera has been live since the start: a wish left while the agent was down waits until it is."""
        return camera not in self._loop().cameras or camera in self._seen_live

    def _taken(self, path: Path) -> bool:
        """Take a wish away before it is granted: one that stays would be granted again every second."""
        try:
            path.unlink()
        except OSError as error:
            if path not in self._stuck:
                LOG.warning("%s: is not granted, for it can't be deleted: %s", path, error)
            self._stuck.add(path)
            return False
        self._stuck.discard(path)
        return True

    def _view_ordered(self, args: CameraArgs) -> Mapping[str, Scalar]:
        return {"camera": args.camera, "was": self.accept_view(args.camera)}

    def _region_ordered(self, args: RegionArgs) -> Mapping[str, Scalar]:
        self.accept(args.camera, args.region)
        return {"accepted": True}

    def _done(self, camera: str, wish: Wish) -> str:
        """Have a wish done between two pictures, and what it changed written down."""
        loop = self._loop()
        if camera not in loop.cameras:
            raise KentonganError(f"{camera}: there is no such camera here, only {', '.join(sorted(loop.cameras))}")
        try:
            told = loop.changes.ask(partial(loop.grant, camera, wish), ASK_S)
        except ChangeError as error:
            raise KentonganError(f"{camera}: {error}") from error
        if not self._keeper.flush(DURABLE_S):
            raise KentonganError(f"{camera}: this is done but can't be written to the disk; see the log")
        return told

    def _take_view(self, lane: Lane) -> tuple[str, list[Record]]:
        if lane.told is None or lane.told.state != "live":
            raise KentonganError(f"{lane.name}: it gives no picture now; accept its view when it does")
        return lane.pipeline.accept_view(self._clock.now())


def _take_region(region: str, lane: Lane) -> tuple[str, list[Record]]:
    if not lane.pipeline.accept(region):
        known = ", ".join(region.name for region in lane.pipeline.camera.protected) or "none"
        raise KentonganError(f"{lane.name}: it has no protected region {region}; it has {known}")
    return region, []
