"""Records as the scene makes them, for tests of what stores and sends them."""

from __future__ import annotations

from agent.records import (
    ClockState,
    CountBody,
    EventBody,
    Interval,
    ModelRef,
    Quality,
    Record,
    Severity,
    Speed,
    ZoneBody,
)
from tests.fakes.clock import START_MONO_S, START_UTC_S

MODEL = ModelRef(name="street", version="1.0.0", sha256="0123456789abcdef" * 4)


def count_record(number: int, *, camera: str = "junction-3", synced: bool = True, line: str = "north") -> Record:
    """The count of one minute; ``number`` makes each different."""
    start = START_UTC_S + 60 * number
    body = CountBody(
        line=line,
        direction="a_to_b" if number % 2 else "b_to_a",
        interval=Interval(start=start, end=start + 60),
        by_class={"motorcycle": number % 37, "car": number % 11, "truck": number % 3},
        volume=number % 37 + number % 11 + number % 3,
        pcu=(number % 77) / 2,
        occupancy=(number % 100) / 1000,
        speed_kmh=Speed(mean=number % 60 + 0.5, p85=number % 70, n=number % 50),
        headway_s=1.2 + number % 7,
        cumulative=number,
        quality=Quality(valid=True, watched=1.0, detect_fps=9.87),
    )
    return Record(
        kind="count",
        camera=camera,
        time=start + 60,
        clock=ClockState(synced=synced, error_ms=12.5 if synced else None),
        model=MODEL,
        body=body,
        mono_s=START_MONO_S + 60 * number + 60,
    )


def zone_record(number: int, *, camera: str = "junction-3") -> Record:
    """A zone's report of one minute."""
    start = START_UTC_S + 60 * number
    body = ZoneBody(
        zone="crossing",
        interval=Interval(start=start, end=start + 60),
        entered=number,
        quality=Quality(valid=False, watched=0.25, reasons=("camera_lost",)),
    )
    return Record(kind="zone", camera=camera, time=start + 60, clock=ClockState(synced=True), model=MODEL, body=body)


def event_record(number: int, *, severity: Severity = "alarm", camera: str = "junction-3") -> Record:
    """Something that began."""
    at = START_UTC_S + 60 * number
    body = EventBody(
        kind="wrong_way",
        phase="start",
        event=f"e{number}",
        where="north",
        severity=severity,
        confidence=0.9,
        since=at,
        details={"speed_kmh": 31.5},
    )
    return Record(
        kind="event", camera=camera, time=at, clock=ClockState(synced=True), model=MODEL, body=body, mono_s=1.0
    )
