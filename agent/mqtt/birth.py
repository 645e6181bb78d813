"""The birth message: who and where a box is, what its cameras watch, and which models run.

Retained, so that a receiver knows it whenever it comes. Never holds an address or a login.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from agent.mqtt.fields import FROZEN, Uuid, Version, WireName
from agent.records import CONTRACT_VERSION, NotNegative, Utc
from agent.update.status import UpdateStatus


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class LineBirth:
    """A counting line, and what its two directions are called."""

    name: WireName
    interval_s: NotNegative
    classes: tuple[str, ...] | None = None
    a_to_b: str | None = None
    b_to_a: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class ZoneBirth:
    """A zone, and which rules watch it."""

    name: WireName
    interval_s: NotNegative
    classes: tuple[str, ...] | None = None
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class ProtectedBirth:
    """A protected region, and what is there."""

    name: WireName
    what: str


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class CameraBirth:
    """A camera: where it stands, where it looks, whose it is. Never its address or login."""

    name: WireName
    place: str | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    heading_deg: Annotated[float, Field(ge=0, lt=360)] | None = None
    field_of_view_deg: Annotated[float, Field(gt=0, le=360)] | None = None
    owner: str | None = None
    model: str | None = None
    lines: tuple[LineBirth, ...] = ()
    zones: tuple[ZoneBirth, ...] = ()
    protected: tuple[ProtectedBirth, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class ModelBirth:
    """A model in use: what it is, the sha256 of the bytes that run, and the provider that really runs them."""

    key: str
    name: str
    version: str
    sha256: str
    provider: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class Birth:
    """Who and where this box is. ``abridged`` says that lines, zones and regions were left out to fit 64 kB.

    ``updates`` is where the updates of each model and of the configuration stand; absent where none are taken.
    """

    v: Version = CONTRACT_VERSION
    device: WireName
    boot: Uuid
    time: Utc
    version: str
    place: str | None = None
    delivery: Literal["broker", "application"]
    cameras: tuple[CameraBirth, ...] = ()
    models: tuple[ModelBirth, ...] = ()
    updates: tuple[UpdateStatus, ...] | None = None
    abridged: bool = False
