"""One camera's way from detections to records: its tracker, then its scene.

Pure but for the time it measures: the same frames and detections give the same records, live or from a file. It
never reads a camera, runs a model, or touches a disk.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from agent.clock import Instant
from agent.config.schema import Camera
from agent.errors import KentonganError
from agent.guarding import Guard
from agent.records import Direction, ModelRef, Record
from agent.scene import Link, Scene
from agent.scene.carry import STAYED, Shift, carry
from agent.scene.ground import person_heights
from agent.scene.rule import Setting
from agent.scene.rules import ground_of
from agent.scene.values import CLEAR, LIVE, Evidence, View
from agent.scuffles import Scuffles
from agent.stages import StageTimes
from agent.values import Detections, Frame, Image, Tracks
from agent.viewing import accepted, anchored, closer_of, view_of
from agent.vision.anchor import Anchor, Doubt
from agent.vision.farsight import FarSight
from agent.vision.kept_anchor import read_anchor, write_anchor
from agent.vision.kept_view import Origin, read_view, write_view
from agent.vision.look import take_look
from agent.vision.tampering import Cause, Judgement, TamperJudge
from agent.vision.tracker import Tracker

LOG: Final = logging.getLogger("kentongan.pipeline")
VIEW_SAVED_S: Final = 300.0
"""How often the memory of the view is saved."""
_DOUBTS: Final[Mapping[str, Doubt]] = {"": "", "turned": "turned", "covered": "covered"}
_NO_VIEW: Final = "null"
_SHOWS_NOTHING: Final = frozenset({"covered", "blinded", "dark", "night"})


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one frame came to: the tracks alive after it and the records it completed.

    ``camera`` is its configuration with lines and zones where they are seen in that frame.
    """

    tracks: Tracks
    records: list[Record]
    camera: Camera | None = None


class CameraPipeline:
    """The tracker and the scene of one camera.

    Args:
        camera: Its configuration.
        device: The box's name, for event ids.
        model: The model whose detections it is given; it goes into the records.
        state: What :meth:`states` said before a restart, of this and of other cameras; empty for a fresh start.
        times: Charged with what tracking and the scene take.
        machine: An id of this start of the machine, for times on a clock that isn't set.
        evidence: Clips are kept of this camera, and :meth:`attest` will be told of them.

    Attributes:
        shown: The configuration with everything that was drawn where it is seen now.
    """

    def __init__(
        self,
        camera: Camera,
        *,
        device: str,
        model: ModelRef,
        state: Mapping[str, str] | None = None,
        times: StageTimes | None = None,
        machine: str = "",
        evidence: bool = False,
    ) -> None:
        self.camera = camera
        self._device, self._machine, self._evidence = device, machine, evidence
        self._model = model
        self._tracker = Tracker()
        self._judge = TamperJudge() if camera.tamper.enabled else None
        self._scuffles = Scuffles(camera)
        kept = state or {}
        self._origin = Origin.of(camera, machine)
        self._last_view = CLEAR
        self._view_text = kept.get(view_name(camera.name), "")
        self._recalled = False
        self._view_due_s = float("-inf")
        self._anchor = Anchor()
        self._anchor_text = ""
        self._anchor_kept: tuple[object, object, object] | None = None
        if self._judge is not None and camera.tamper.reanchor:
            self._anchor_text = kept.get(anchor_name(camera.name), "")
            self._anchor = read_anchor(self._anchor_text, self._origin)
        self._scene = Scene(
            camera,
            device=device,
            model=model,
            state=kept.get(camera.name),
            machine=machine,
            evidence=evidence,
            shift=self._anchor.standing.shift,
            clip_model=self._scuffles.clip_model,
        )
        self._lay(self._anchor.standing.shift)
        self._guard = Guard(self.shown, kept, self._origin)
        self._seen_as: Cause | Literal["", "night"] = ""
        self._times = times or StageTimes()

    def see(self, frame: Frame, detections: Detections) -> Seen:
        """Take one frame's detections further."""
        height, width = frame.image.shape[:2]
        with self._times.measure("track"):
            self._tracker.fit((width, height))
            tracks = self._tracker.update(detections, frame.at.mono_s)
        with self._times.measure("scene"):
            view = self._view(frame, tracks)
            self._last_view = view or self._last_view
            fight = self._scuffles.look(frame, detections, tracks)
            assets = self._guard.look(frame, tracks, self._last_view)
            closer = None
            if self._far is not None:
                closer = closer_of(self._far.glance())
                self._far.note(frame, tracks)
            records = self._scene.update(tracks, frame.at, (width, height), view, fight, closer, assets)
        return Seen(tracks, records, self.shown)

    def _view(self, frame: Frame, tracks: Tracks) -> View | None:
        """Whether the picture can be trusted; ``None`` between the looks that tell."""
        if self._judge is None or not self._judge.due(frame.at.mono_s):
            return None
        if not self._recalled:
            self._recalled = True
            if (kept := read_view(self._view_text, frame.at, self._origin)) is not None:
                self._judge.recall(kept)
        self._keep_view(self._judge, frame.at)
        height, width = frame.image.shape[:2]
        unit = np.array([width, height, width, height], np.float32)
        judgement = self._judge.judge(take_look(frame.image), frame.at.mono_s, tracks.boxes / unit)
        return self._anchored(self._judge, frame.image, frame.at.mono_s, judgement)

    def _anchored(self, judge: TamperJudge, image: Image, now_s: float, judgement: Judgement) -> View:
        """What is known of the view when it is known where the camera looks; a new shift carries everything over."""
        self._seen_as = judgement.cause or ("night" if judgement.night else "")
        view = view_of(judgement)
        if not self.camera.tamper.reanchor:
            return view
        doubt = _DOUBTS.get(self._seen_as, "hidden")
        before = self._anchor.standing.shift
        standing = self._anchor.look(image, now_s, doubt)
        if standing.news:
            judge.forget()
            self._seen_as, self._view_text, self._view_due_s = "", _NO_VIEW, float("-inf")
            if standing.shift != before:  # what was taken behind a covered lens is missed by who remembers it
                self._lay(standing.shift)
                self._guard.begin_anew(self.shown, self._origin)
        if standing.stopped and not doubt:
            self._seen_as = "turned"
        return anchored(view, standing)

    def accept_view(self, at: Instant) -> tuple[str, list[Record]]:
        """Take what the camera shows as the view that lines and zones were drawn on.

        Returns:
            What the view was thought to be (``clear``, ``turned``, …), and the records this makes.

        Raises:
            KentonganError: Nothing is seen now that could be accepted.
        """
        name = self.camera.name
        if self._judge is None:
            raise KentonganError(f"{name}: its view is not watched, so there is nothing to accept; see tamper.enabled")
        if self._seen_as in _SHOWS_NOTHING:
            raise KentonganError(f"{name}: its picture shows nothing now ({self._seen_as}); accept it when it does")
        was = self._seen_as or "clear"
        self._begin_anew()
        self._last_view = accepted()
        with self._times.measure("scene"):
            return was, self._scene.tick(at, LIVE, self._last_view)

    def _begin_anew(self) -> None:
        """Learn the view, and how what is protected in it looks, from what is seen next."""
        if self._judge is not None:
            self._judge.forget()
        self._anchor.forget()
        self._seen_as, self._anchor_text = "", _NO_VIEW
        self._view_text, self._view_due_s = _NO_VIEW, float("-inf")
        self._lay(STAYED)
        self._guard.begin_anew(self.shown, self._origin)

    def _lay(self, shift: Shift) -> None:
        """Carry what was drawn to where it is seen now, for all that look at places in the picture."""
        self.shown = carry(self.camera, shift)
        self._far = _far_sight(self.shown, self._device)
        self._scuffles.lay(self.shown)

    def _keep_view(self, judge: TamperJudge, at: Instant) -> None:
        """Now and then write down how the view is remembered: it hardly changes, and a disk wears."""
        if 0 <= self._view_due_s - at.mono_s <= VIEW_SAVED_S:
            return
        if (view := judge.view()) is not None:
            self._view_due_s = at.mono_s + VIEW_SAVED_S
            self._view_text = write_view(view, at, self._origin)

    def troubles(self) -> tuple[str, ...]:
        """What is wished and not watched for, and why; counting goes on."""
        return tuple(each for each in (self._scuffles.trouble, self._guard.trouble) if each)

    @property
    def wants_tiles(self) -> bool:
        """Whether a second look is under way: parts of a picture wait to be looked at."""
        return self._far is not None and self._far.waiting

    def tiles(self, taken: tuple[int, int], most: int = 1) -> list[Image]:
        """The next parts of a picture for a second look, for a model that takes pictures of a width and height."""
        return [] if self._far is None else self._far.tiles(taken, most)

    def take_tiles(self, seen: Sequence[Detections] | None) -> None:
        """What was seen in them; ``None`` when they could not be looked at."""
        if self._far is not None and seen is not None:
            self._far.take(seen)
        elif self._far is not None:
            self._far.drop()

    def second_looks(self) -> tuple[int, int] | None:
        """Second looks finished and skipped since the start; ``None`` where none are made."""
        return None if self._far is None else (self._far.finished, self._far.skipped)

    def tick(self, at: Instant, link: Link) -> list[Record]:
        """Let time pass: intervals end and lost cameras are told even when no frame comes."""
        with self._times.measure("scene"):
            return self._scene.tick(at, link)

    def accept(self, region: str) -> bool:
        """Take how a protected region looks now as how it should look; ``False`` when there is no such region.

        Raises:
            KentonganError: It is out of the picture, or too small in it.
        """
        return self._guard.accept(region)

    def attest(self, at: Instant, finished: Sequence[Evidence]) -> list[Record]:
        """Take in that clips are finished: their events are told once more, and name them."""
        return self._scene.attest(at, finished)

    def crossed(self) -> dict[tuple[str, Direction], int]:
        """Cumulative counts by line and direction, for showing."""
        return self._scene.crossed()

    def credit(self, model: ModelRef) -> None:
        """From here on another model is behind the detections; tracks, counts and open events go on.

        A second look under way is given up: half of it was seen by the model before.
        """
        self._model = model
        self._scene.credit(model)
        if self._far is not None:
            self._far.drop()

    def redraw(self, camera: Camera, at: Instant) -> list[Record]:
        """Go on with other lines, zones, ground or rate of the same camera, as after a restart; tracks go on.

        What is drawn anew holds for what the camera shows now; with other thresholds alone the view stays known.

        Returns:
            What was open, cut short.
        """
        records = self._scene.stop(at)
        self.camera = camera
        if (origin := Origin.of(camera, self._machine)) != self._origin:
            self._origin = origin
            self._begin_anew()
        self._lay(self._anchor.standing.shift)
        self._guard.heed(self.shown, at)
        self._scene = Scene(
            camera,
            device=self._device,
            model=self._model,
            state=self._scene.snapshot(),
            machine=self._machine,
            evidence=self._evidence,
            shift=self._anchor.standing.shift,
            clip_model=self._scuffles.clip_model,
        )
        return records

    def stop(self, at: Instant) -> list[Record]:
        """End what is open; what can go on after a restart is in :meth:`states`."""
        if self._judge is not None:
            self._view_due_s = float("-inf")
            self._keep_view(self._judge, at)
        self._guard.keep(at)
        return self._scene.stop(at)

    def states(self) -> dict[str, str]:
        """Texts by name from which a new pipeline goes on; what hardly changes has a name of its own."""
        kept = {self.camera.name: self._scene.snapshot(), **self._guard.states()}
        if self._view_text:
            kept[view_name(self.camera.name)] = self._view_text
        if self._anchor_text or self._anchor.original is not None:
            kept[anchor_name(self.camera.name)] = self._anchor_state()
        return kept

    def _anchor_state(self) -> str:
        """The anchor as text, written anew only when it changed: it is long and hardly ever does."""
        now = (self._anchor.original, self._anchor.standing.shift, self._anchor.standing.stopped)
        if self._anchor_kept is None or any(a is not b and a != b for a, b in zip(now, self._anchor_kept, strict=True)):
            self._anchor_kept, self._anchor_text = now, write_anchor(self._anchor, self._origin)
        return self._anchor_text


def anchor_name(camera: str) -> str:
    """Under which name the view is kept that was drawn on."""
    return f"{camera}/anchor"


def view_name(camera: str) -> str:
    """Under which name the memory of a camera's view is kept; no camera can be called so."""
    return f"{camera}/view"


def _far_sight(camera: Camera, device: str) -> FarSight | None:
    """Second looks at the zones that are watched for crowds; ``None`` where there are none."""
    setting = Setting(device, camera)
    zones = [zone for zone in camera.zones if zone.rules.crowd is not None or zone.rules.surge is not None]
    if not zones or not camera.second_look:
        return None
    regions = {zone.name: setting.pixels(zone.polygon, (1, 1)) for zone in zones}
    ground = ground_of(setting)
    if ground is None:
        return FarSight(regions)
    feet = np.clip(np.concatenate(list(regions.values())), 0.0, 1.0)
    width, height = camera.frame_size or (16, 9)
    return FarSight(regions, person_heights(ground, feet, width / height))
