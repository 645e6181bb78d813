"""The scene of one camera: tracks go in, records come out.

Pure: the same tracks, instants and links give the same records, so a file replays byte for byte. It knows no clock,
no disk and no picture. What it must remember over a restart it hands out as text, to be stored with the records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from agent.clock import Instant
from agent.config.schema import Camera
from agent.records import (
    Body,
    ClockState,
    CountBody,
    Direction,
    EventBody,
    ModelRef,
    Reason,
    Record,
    RecordKind,
    ZoneBody,
)
from agent.scene.attest import Attest
from agent.scene.carry import STAYED, Shift, carry, out_of_view
from agent.scene.intervals import Closed, Timetable
from agent.scene.ledger import Ledger
from agent.scene.lines import Lines
from agent.scene.roster import Roster, Sight, as_state
from agent.scene.rule import Moment, Rule, Setting
from agent.scene.rules import build_rules
from agent.scene.values import CLEAR, LIVE, AssetLook, Evidence, Likeness, Link, SecondLook, View
from agent.scene.vandalism import Fusion
from agent.values import Tracks

STATE_VERSION: Final = 1
_KINDS: Final[Mapping[type, RecordKind]] = {CountBody: "count", ZoneBody: "zone", EventBody: "event"}
_REASONS: Final = frozenset(get_args(Reason))


class Scene:
    """Everything that is watched for in one camera's view.

    Args:
        camera: Its configuration: lines, zones, rules, calibration.
        device: The box's name; event ids are made of it.
        model: The model behind the detections, named in every record.
        state: What an earlier :meth:`snapshot` gave; ``None`` for a camera seen for the first time.
        machine: An id of this start of the machine, within which times on a clock that isn't set can be compared.
        evidence: Clips are kept of this camera, and :meth:`attest` will be told of them.
        shift: How the view lay, when the process before this one ended, beside the one that was drawn on.
        clip_model: Which model judges clips, by the sha256 of its file; empty where none does.

    Raises:
        ConfigError: The camera's ground can't be a road, or a line names no known road type.
    """

    def __init__(
        self,
        camera: Camera,
        *,
        device: str,
        model: ModelRef | None,
        state: str | None = None,
        machine: str = "",
        evidence: bool = False,
        shift: Shift = STAYED,
        clip_model: str = "",
    ) -> None:
        kept = _read(state)
        self._device = device
        self._camera = camera
        self._model = model
        self._clip_model = clip_model
        self._link = Link("connecting")
        self._view = CLEAR
        self._was_live = False
        self._roster = Roster()
        self._size: tuple[int, int] | None = None
        lengths: list[int] = sorted(
            {line.interval_s for line in camera.lines} | {zone.interval_s for zone in camera.zones}
        )
        self._ledger = Ledger(camera, as_state(kept.get("open")))
        self._attest = Attest(as_state(kept.get("evidence")), watched=evidence)
        tables = as_state(kept.get("intervals"))
        self._timetables = {length: Timetable(length, as_state(tables.get(str(length))), machine) for length in lengths}
        self._rules: dict[str, Rule] = {}
        self._lay(shift, as_state(kept.get("rules")), as_state(kept.get("vandalism")))

    def update(
        self,
        tracks: Tracks,
        at: Instant,
        size: tuple[int, int],
        view: View | None = None,
        fight: Likeness | None = None,
        closer: SecondLook | None = None,
        assets: tuple[AssetLook, ...] = (),
    ) -> list[Record]:
        """Take in one detected frame.

        Args:
            tracks: Of this frame.
            at: When it was captured.
            size: Width and height of the picture in pixels.
            view: How the picture looks, when that was judged since the last call.
            fight: How much people look like fighting, where that is judged.
            closer: What a second look saw that was finished since the last call.
            assets: How the protected regions look, when they were looked at.

        Returns:
            Records in an order that depends on nothing but the input.
        """
        self._look(LIVE, view)
        if self._view.blind:  # what is said only once, that a region was accepted for instance, is heard all the same
            return self._pass(at, tuple(look for look in assets if look.accepted or look.relearnt))
        self._size = size
        closed = {length: tuple(table.see(at)) for length, table in self._timetables.items()}
        return self._step(at, self._roster.see(tracks, at, size), closed, fight, closer, assets)

    def tick(self, at: Instant, link: Link, view: View | None = None) -> list[Record]:
        """Take in that time has passed; about once a second, whether or not frames come."""
        self._look(link, view)
        return self._pass(at)

    def credit(self, model: ModelRef) -> None:
        """From here on another model is behind the detections; what is open goes on."""
        self._model = model

    def attest(self, at: Instant, finished: Sequence[Evidence]) -> list[Record]:
        """Take in that clips are finished: their events are told once more, and name them."""
        return [self._record(body, at) for body in self._attest.attest(finished)]

    def stop(self, at: Instant) -> list[Record]:
        """Give out what the open intervals hold, cut short. Open events stay open for the next process to go on."""
        records = self._step(at, self._roster.finish(at, self._size), {}) if self._size else []
        closed = {length: tuple(table.cut(at)) for length, table in self._timetables.items()}
        return records + self._step(at, None, closed)

    def snapshot(self) -> str:
        """Cumulative counts, open intervals, open events: what the next process needs, as JSON text."""
        state = {
            "version": STATE_VERSION,
            "intervals": {str(length): table.state() for length, table in self._timetables.items()},
            "open": self._ledger.state(),
            "rules": {name: rule.state() for name, rule in self._rules.items()},
        }
        if vandalism := self._fusion.state():
            state["vandalism"] = vandalism
        if evidence := self._attest.state():
            state["evidence"] = evidence
        return json.dumps(state, sort_keys=True, separators=(",", ":"))

    def crossed(self) -> dict[tuple[str, Direction], int]:
        """How many crossed each line in each direction so far: for showing, never for sending."""
        return {
            key: total
            for rule in self._rules.values()
            if isinstance(rule, Lines)
            for key, total in rule.crossed().items()
        }

    def _lay(self, shift: Shift, state: Mapping[str, Any], fused: Mapping[str, Any]) -> None:
        """Begin all rules on what was drawn, carried over to how the view lies; they go on as after a restart."""
        self._shift = shift
        carried = carry(self._camera, shift)
        self._outside = out_of_view(self._camera, carried)
        setting = Setting(self._device, carried, self._clip_model)
        self._rules = build_rules(setting, state)
        self._fusion = Fusion(setting, fused)
        self._roster = Roster()

    def _look(self, link: Link, view: View | None) -> None:
        """Note what spoils the open intervals."""
        self._link = link
        self._was_live |= link.state == "live"
        if view is not None:
            if view.shift is not None and view.shift != self._shift:
                rules = {name: rule.state() for name, rule in self._rules.items()}
                self._lay(view.shift, rules, self._fusion.state())
            known = view.blind or self._outside is None
            self._view = view if known else View(("moved",), blind=True, cause="turned", share=1.0)
        for reason in self._spoilers():
            for table in self._timetables.values():
                table.note(reason)

    def _spoilers(self) -> tuple[Reason, ...]:
        found: list[Reason] = list(self._view.reasons)
        if self._link.state == "lost" or (self._link.state == "connecting" and self._was_live):
            found.append("camera_lost")
        elif self._link.state == "frozen":
            found.append("camera_frozen")
        found.extend(reason for reason in (self._link.reason,) if reason in _REASONS)  # type: ignore[misc]
        return tuple(found)

    def _pass(self, at: Instant, assets: tuple[AssetLook, ...] = ()) -> list[Record]:
        closed = {length: tuple(table.tick(at)) for length, table in self._timetables.items()}
        for reason in self._spoilers():  # what spoiled the interval that ended goes on in the next
            for table in self._timetables.values():
                table.note(reason)
        return self._step(at, None, closed, assets=assets)

    def _step(
        self,
        at: Instant,
        sight: Sight | None,
        closed: Mapping[int, tuple[Closed, ...]],
        fight: Likeness | None = None,
        closer: SecondLook | None = None,
        assets: tuple[AssetLook, ...] = (),
    ) -> list[Record]:
        moment = Moment(
            at=at,
            link=self._link,
            view=self._view,
            sight=sight,
            closed=closed,
            fight=fight,
            closer=closer,
            assets=assets,
        )
        if self._view.settled:  # news only once
            self._view = CLEAR
        sent = self._ledger.state()
        bodies = self._ledger.orphans(at)
        for rule in self._rules.values():
            bodies.extend(rule.step(moment))
        bodies = self._fusion.fuse(bodies, at, sent)
        self._ledger.enter(bodies)
        bodies = self._attest.amend(bodies)
        return [self._record(body, at) for body in bodies]

    def _record(self, body: Body, at: Instant) -> Record:
        return Record(
            kind=_KINDS[type(body)],
            camera=self._camera.name,
            time=at.utc_s,
            clock=ClockState(synced=at.synced, error_ms=at.error_ms),
            model=self._model,
            body=body,
            mono_s=at.mono_s,
        )


def _read(state: str | None) -> Mapping[str, Any]:
    """A stored state; one that can't be read, or is of another version, counts as none."""
    if state is None:
        return {}
    try:
        kept = as_state(json.loads(state))
    except ValueError:
        return {}
    return kept if kept.get("version") == STATE_VERSION else {}
