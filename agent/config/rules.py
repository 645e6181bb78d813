"""The settings of the scene rules that watch a zone, one frozen type a rule.

A rule that is absent is off. Every number has its unit in its name.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agent.config.files import File

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Kmh = Annotated[float, Field(gt=0, le=200)]
HOURS: Final = r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$"
Vehicles = Annotated[int, Field(ge=1, le=1000)]


class RulePart(BaseModel):
    """A frozen part of the rules that refuses fields it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Congestion(RulePart):
    """Many vehicles, all slow. Without ground, speeds are judged by the size of the vehicles."""

    vehicles: Annotated[Vehicles, Field(description="Fewer than this are no congestion, however slow.")] = 5
    slow_kmh: Annotated[Kmh, Field(description="Their median speed below this is slow.")] = 20
    jam_kmh: Annotated[Kmh, Field(description="Below this it is a jam.")] = 7
    enter_s: Annotated[Seconds, Field(description="How long before it starts.")] = 30
    leave_s: Annotated[Seconds, Field(description="How long it must be over before it ends.")] = 30

    @model_validator(mode="after")
    def _jam_is_slower(self) -> Congestion:
        if self.jam_kmh >= self.slow_kmh:
            raise ValueError("jam_kmh is slower than slow_kmh; lower it")
        return self


class Queue(RulePart):
    """Vehicles that stand one behind the other."""

    vehicles: Annotated[Vehicles, Field(description="Fewer than this are no queue.")] = 3
    standing_kmh: Annotated[Kmh, Field(description="Slower than this is standing.")] = 5
    gap_m: Annotated[float, Field(gt=0, le=100, description="A wider gap ends the queue; needs ground.")] = 15
    enter_s: Seconds = 5
    leave_s: Seconds = 10
    update_s: Annotated[Seconds, Field(description="How often its length is told at most.")] = 10


class StoppedVehicle(RulePart):
    """A vehicle that stands where it may not."""

    after_s: Annotated[Seconds, Field(description="How long it may stand.")] = 60
    red_light_s: Annotated[float, Field(ge=0, le=600, description="Before a signal: its longest red, on top.")] = 0
    standing_kmh: Kmh = 4
    leave_s: Annotated[Seconds, Field(description="How long it may be hidden before the event ends.")] = 30


class WrongWay(RulePart):
    """A vehicle that drives against the direction of its lane."""

    along: Annotated[
        tuple[tuple[float, float], tuple[float, float]],
        Field(description="Two points, from and to: the way traffic may go here. In the unit of the zone's polygon."),
    ]
    least_kmh: Annotated[Kmh, Field(description="Slower than this is manoeuvring.")] = 8
    for_s: Annotated[Seconds, Field(description="How long it must go on.")] = 1.0

    @model_validator(mode="after")
    def _has_a_direction(self) -> WrongWay:
        if self.along[0] == self.along[1]:
            raise ValueError("along needs two different points: where traffic comes from, and where it goes")
        return self


class Crowd(RulePart):
    """Many people in a zone."""

    people: Annotated[int, Field(ge=1, le=100_000, description="So many are a crowd.")] = 20
    per_m2: Annotated[
        float | None, Field(gt=0, le=10, description="So many per square metre are one as well; needs ground.")
    ] = None
    release: Annotated[float, Field(gt=0, lt=1, description="It ends below this share of the level.")] = 0.8
    alarm_at: Annotated[float, Field(ge=1, le=100, description="At this multiple of the level it is an alarm.")] = 1.5
    enter_s: Seconds = 10
    leave_s: Seconds = 30
    update_s: Annotated[Seconds, Field(description="How often its numbers are told at most.")] = 60


class Surge(RulePart):
    """Many more people than is usual here on this weekday at this hour. Learned on the box, from the second day on."""

    times: Annotated[float, Field(gt=1, le=100, description="So many times the usual number are unusual …")] = 2.0
    least_people: Annotated[int, Field(ge=1, le=10_000, description="… when they are at least so many more.")] = 5
    utc_offset_h: Annotated[float, Field(ge=-12, le=14, description="Local time minus UTC: 7 in Jakarta.")] = 7
    calendar: Annotated[
        dict[
            Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")],
            Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")],
        ],
        Field(max_length=400, description="Special days by date, such as 2026-03-20: lebaran. Each kind learns alone."),
    ] = {}
    enter_s: Seconds = 30
    leave_s: Seconds = 60

    @field_validator("calendar")
    @classmethod
    def _days_exist(cls, calendar: dict[str, str]) -> dict[str, str]:
        for day in calendar:
            try:
                date.fromisoformat(day)
            except ValueError:
                raise ValueError(f"there is no {day}; write a day such as 2026-03-20") from None
        return calendar


class Tamper(RulePart):
    """Attacks on the camera itself: covered, sprayed, defocused, turned, blinded, darkened.

    A frozen or lost camera has its own event, camera_lost; where thieves are likelier than faults it may be both.
    """

    enabled: Annotated[bool, Field(description="False leaves the view unjudged, its quality reasons too.")] = True
    reanchor: Annotated[
        bool, Field(description="After a small move of the camera, carry lines, zones and ground over to the new view.")
    ] = True
    frozen: Annotated[bool, Field(description="Call a frozen picture tampering as well: a film may be played.")] = False
    unplugged: Annotated[bool, Field(description="Call a lost camera tampered with as well.")] = False
    unplugged_after_s: Annotated[Seconds, Field(description="How long it must be lost for that.")] = 10


class Aggression(RulePart):
    """People who seem to attack each other. The model card says how often it is wrong: let a person look."""

    likeness: Annotated[
        float, Field(gt=0.5, lt=1, description="So much it must look like a fight, 0 to 1, averaged over a second.")
    ] = 0.85
    enter_s: Annotated[Seconds, Field(description="… for so long, beyond the 1.5 s of a first clip.")] = 0.3
    leave_s: Seconds = 5
    learns: Annotated[
        bool, Field(description="It must also beat all but one of the times that it looked so in the last 25 hours.")
    ] = True
    first_likeness: Annotated[
        float, Field(gt=0.5, lt=1, description="… and so much at least until people were judged for 20 minutes in all.")
    ] = 0.925
    model: Annotated[File | None, Field(description="Another clip model than the one that ships.")] = None

    @model_validator(mode="after")
    def _first_is_no_lower(self) -> Aggression:
        if "first_likeness" in self.model_fields_set and self.first_likeness < self.likeness:
            raise ValueError(
                f"first_likeness {self.first_likeness:g} is lower than likeness {self.likeness:g}, which always counts"
                f"; write at least {self.likeness:g}, or leave it out"
            )
        return self


class Loitering(RulePart):
    """Persons who stay in a zone. One event for the zone, whoever they are and however many."""

    seconds: Annotated[Seconds, Field(description="Staying for so long is loitering.")] = 60
    hours: Annotated[
        tuple[Annotated[str, Field(pattern=HOURS, examples=["22:00-05:00"])], ...],
        Field(max_length=8, description='Watched between these local times, such as "22:00-05:00". Default: always.'),
    ] = ()
    utc_offset_h: Annotated[float, Field(ge=-12, le=14, description="Local time minus UTC: 7 in Jakarta.")] = 7
    leave_s: Annotated[Seconds, Field(description="How long the last of them must be gone before it ends.")] = 20

    @model_validator(mode="after")
    def _some_time(self) -> Loitering:
        for hours in self.hours:
            start, end = hours.split("-")
            if start == end:
                raise ValueError(f"{hours} is no time at all; for the whole day leave hours out")
        return self


class Protected(RulePart):
    """When a protected region has changed. One settings type for all that may be protected."""

    settle_s: Annotated[
        float, Field(ge=5, le=3600, description="A change must stand for so long, in full view, before it is said.")
    ] = 30
    least_share: Annotated[
        float, Field(ge=0.02, le=0.9, description="Changes of a smaller share of the region are not said.")
    ] = 0.04
    accept_h: Annotated[
        float, Field(ge=0.1, le=720, description="A change that stands for so long is how the region looks now.")
    ] = 12


class Vandalism(RulePart):
    """One alarm made of several signs near each other in place and time."""

    enabled: Annotated[
        bool,
        Field(description="Works where the camera has protected regions or watches for aggression. False: no alarm."),
    ] = True
    window_s: Annotated[Seconds, Field(description="Signs further apart than this are not of one alarm.")] = 300
    reach: Annotated[
        float, Field(gt=0, le=1.5, description="Nor are signs further apart than this, in the picture's width.")
    ] = 0.25
    leave_s: Annotated[Seconds, Field(description="How long all its signs must be over before it ends.")] = 30
    alone: Annotated[
        tuple[Literal["aggression", "asset_changed", "loitering", "camera_tampered", "camera_lost"], ...],
        Field(description="Signs that are sent as events of their own as well. Default: all of them."),
    ] = ("aggression", "asset_changed", "loitering", "camera_tampered", "camera_lost")


class RuleSettings(RulePart):
    """Which rules watch a zone, and their levels."""

    congestion: Congestion | None = None
    queue: Queue | None = None
    stopped_vehicle: StoppedVehicle | None = None
    wrong_way: WrongWay | None = None
    crowd: Crowd | None = None
    surge: Surge | None = None
    loitering: Loitering | None = None
