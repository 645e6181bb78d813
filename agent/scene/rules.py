"""The table of scene rules: every kind of meaning, once, in the order in which its records come.

A new rule is a class that fits :class:`agent.scene.rule.Rule` and one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.scene.aggression import Aggression
from agent.scene.assets import AssetChanged
from agent.scene.congestion import Congestion
from agent.scene.crowd import Crowds
from agent.scene.ground import Ground, fit_ground
from agent.scene.lines import Lines
from agent.scene.link import CameraLost
from agent.scene.loitering import Loitering
from agent.scene.pcu import PcuTable, table_for
from agent.scene.places import Places
from agent.scene.queue import Queue
from agent.scene.roster import as_state
from agent.scene.rule import Rule, Setting
from agent.scene.speed import Pace
from agent.scene.stopped import StoppedVehicle
from agent.scene.tamper import CameraTampered
from agent.scene.wrong_way import WrongWay
from agent.scene.zones import Zones


@dataclass(frozen=True, slots=True)
class Parts:
    """What rules are built from.

    Attributes:
        setting: Where they work.
        places: Who is in which zone and how fast; shared, and with the plane of the road where it is known.
    """

    setting: Setting
    places: Places

    def table(self, road: str | None) -> PcuTable:
        """The PCU factors of a road type."""
        return table_for(road, self.setting.camera.pcu)


Builder = Callable[[Parts, Mapping[str, Any]], Rule]


def _camera_lost(parts: Parts, state: Mapping[str, Any]) -> Rule:
    return CameraLost(parts.setting, state)


def _camera_tampered(parts: Parts, state: Mapping[str, Any]) -> Rule:
    return CameraTampered(parts.setting, state)


def _aggression(parts: Parts, state: Mapping[str, Any]) -> Rule:
    return Aggression(parts.setting, state)


def _assets(parts: Parts, state: Mapping[str, Any]) -> Rule:
    return AssetChanged(parts.setting, state)


def _loitering(parts: Parts, state: Mapping[str, Any]) -> Rule:
    return Loitering(parts.setting, parts.places, state)


def _lines(parts: Parts, state: Mapping[str, Any]) -> Rule:
    lines = parts.setting.camera.lines
    tables = {line.name: parts.table(line.road) for line in lines}
    return Lines(parts.setting, pace=parts.places.pace, tables=tables, state=state)


def _zones(parts: Parts, state: Mapping[str, Any]) -> Rule:
    return Zones(parts.setting, places=parts.places, table=parts.table(None), state=state)


def _congestion(parts: Parts, state: Mapping[str, Any]) -> Rule:
    return Congestion(parts.setting, parts.places, state)


def _queue(parts: Parts, state: Mapping[str, Any]) -> Rule:
    return Queue(parts.setting, parts.places, state)


def _crowds(parts: Parts, state: Mapping[str, Any]) -> Rule:
    return Crowds(parts.setting, parts.places, state)


def _stopped_vehicle(parts: Parts, state: Mapping[str, Any]) -> Rule:
    return StoppedVehicle(parts.setting, parts.places, state)


def _wrong_way(parts: Parts, state: Mapping[str, Any]) -> Rule:
    return WrongWay(parts.setting, parts.places, state)


RULES: Final[Mapping[str, Builder]] = {
    "camera_lost": _camera_lost,
    "camera_tampered": _camera_tampered,
    "lines": _lines,
    "zones": _zones,
    "congestion": _congestion,
    "queue": _queue,
    "stopped_vehicle": _stopped_vehicle,
    "wrong_way": _wrong_way,
    "crowds": _crowds,
    "loitering": _loitering,
    "aggression": _aggression,
    "assets": _assets,
}


def build_rules(setting: Setting, state: Mapping[str, Any]) -> dict[str, Rule]:
    """Every rule for one camera, each with what it remembers.

    Raises:
        ConfigError: The camera's ground can't be a road, or a line names no known road type.
    """
    ground = ground_of(setting)
    parts = Parts(setting, Places(setting, None if ground is None else Pace(ground)))
    return {name: build(parts, as_state(state.get(name))) for name, build in RULES.items()}


def ground_of(setting: Setting) -> Ground | None:
    """The plane of a camera's road from its configuration; ``None`` without one.

    Raises:
        ConfigError: It can't be a road.
    """
    ground = setting.camera.ground
    if ground is None:
        return None
    relative = setting.pixels([point.image for point in ground.points], (1, 1))
    return fit_ground(relative, [point.metres for point in ground.points])
