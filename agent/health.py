"""Looks at every part of a running box and says how it fares, as the messages of the contract want it.

Reads only; a part that can't be asked is absent. Never holds a camera's address or a password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent import host
from agent.config.schema import Camera, Line, Zone
from agent.mqtt.birth import Birth, CameraBirth, LineBirth, ModelBirth, ProtectedBirth, ZoneBirth
from agent.mqtt.fields import CameraStatus
from agent.mqtt.health import CameraHealth, EvidenceHealth, Health, OutboxHealth, Room
from agent.records import ClockState
from agent.version import VERSION
from agent.video.source import Phase

if TYPE_CHECKING:
    from agent.app import App
    from agent.watching import Lane

_CAMERA_STATUS: Final[dict[Phase, CameraStatus]] = {
    Phase.CONNECTING: "starting",
    Phase.LIVE: "live",
    Phase.FROZEN: "frozen",
    Phase.LOST: "lost",
    Phase.ENDED: "stopped",
}
_SENTENCE: Final = 1000


def birth_of(app: App) -> Birth:
    """Who and where this box is."""
    config = app.config
    return Birth(
        device=config.device,
        boot=app.boot,
        time=app.clock.now().utc_s,
        version=VERSION,
        place=config.place,
        delivery=config.mqtt.delivery,
        cameras=tuple(_camera(camera) for camera in config.cameras),
        models=tuple(
            ModelBirth(
                key=key,
                name=detector.description.name,
                version=detector.description.version,
                sha256=detector.description.sha256,
                provider=detector.provider,
            )
            for key, detector in app.detectors.items()
        ),
        updates=None if app.updating is None else app.updating.statuses(),
    )


def _camera(camera: Camera) -> CameraBirth:
    return CameraBirth(
        name=camera.name,
        place=camera.place,
        latitude=camera.latitude,
        longitude=camera.longitude,
        heading_deg=camera.heading_deg,
        field_of_view_deg=camera.field_of_view_deg,
        owner=camera.owner,
        model=camera.model,
        lines=tuple(_line(line) for line in camera.lines),
        zones=tuple(_zone(zone) for zone in camera.zones),
        protected=tuple(ProtectedBirth(name=region.name, what=region.what) for region in camera.protected) or None,
    )


def _line(line: Line) -> LineBirth:
    return LineBirth(
        name=line.name, interval_s=line.interval_s, classes=line.classes, a_to_b=line.a_to_b, b_to_a=line.b_to_a
    )


def _zone(zone: Zone) -> ZoneBirth:
    on = tuple(name for name in type(zone.rules).model_fields if getattr(zone.rules, name) is not None)
    return ZoneBirth(name=zone.name, interval_s=zone.interval_s, classes=zone.classes, rules=on)


def health_of(app: App) -> Health:
    """How the box fares now."""
    at = app.clock.now()
    facts = host.look(app.config.state_dir)
    cameras = {lane.name: _camera_health(app, lane) for lane in app.lanes}
    outbox = _outbox(app)
    link = app.link.state()
    evidence = _evidence(app)
    problems = [*app.clock_problems(), *(f"camera {name}: {c.reason}" for name, c in cameras.items() if c.reason)]
    problems += [f"camera {lane.name}: {why}" for lane in app.lanes for why in lane.pipeline.troubles()]
    problems += [f"model {key}: {why}" for key, detector in app.detectors.items() for why in detector.fallback]
    told = (outbox.reason, link.reason, None if evidence is None else evidence.reason)
    problems += [reason for reason in told if reason is not None]
    problems += [] if app.updating is None else app.updating.problems()
    return Health(
        device=app.config.device,
        boot=app.boot,
        time=at.utc_s,
        clock=ClockState(synced=at.synced, error_ms=at.error_ms),
        uptime_s=round(app.uptime_s(), 1),
        temperature_c=facts.temperature_c,
        throttled=facts.throttled or None,
        cpu=None if facts.load is None else min(1.0, facts.load),
        memory=_room(facts.memory),
        own_memory_mb=facts.memory_rss_mb,
        disk=_room(facts.disk),
        cameras=cameras,
        outbox=outbox,
        link=link,
        evidence=evidence,
        updates=None if app.updating is None else app.updating.statuses(),
        problems=tuple(text[:_SENTENCE] for text in problems),
    )


def _room(fill: host.Fill | None) -> Room | None:
    return None if fill is None else Room(used_mb=round(fill.used_mb, 1), total_mb=round(fill.total_mb, 1))


def _camera_health(app: App, lane: Lane) -> CameraHealth:
    state = lane.source.state()
    reason = lane.failing or state.reason
    rate = app.loop.achieved_fps(lane.name)
    looks = lane.pipeline.second_looks()
    return CameraHealth(
        state=_CAMERA_STATUS[state.phase],
        source_fps=_rounded(state.source_fps),
        detect_fps=_rounded(rate),
        dropped=state.dropped + lane.replaced,
        frame_age_s=_rounded(state.frame_age_s),
        reconnects=state.reconnects,
        second_looks=None if looks is None else looks[0],
        second_looks_skipped=None if looks is None else looks[1],
        reason=reason[:_SENTENCE] or None,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else max(0.0, round(value, 2))


def _outbox(app: App) -> OutboxHealth:
    writing = app.writer.state()
    depth = app.outbox.depth()
    oldest_s = None if depth.oldest_s is None else max(0.0, app.clock.now().utc_s - depth.oldest_s)
    return OutboxHealth(
        ok=writing.ok,
        records=depth.records,
        oldest_s=_rounded(oldest_s),
        room=Room(used_mb=depth.used_bytes / 1e6, total_mb=depth.max_bytes / 1e6),
        waiting=writing.waiting,
        dropped=writing.dropped,
        reason=writing.reason or app.outbox.notice,
    )


def _evidence(app: App) -> EvidenceHealth | None:
    if app.keeper is None:
        return None
    state = app.keeper.state()
    return EvidenceHealth(
        ok=state.ok,
        clips=state.clips,
        room=Room(used_mb=round(state.used_bytes / 1e6, 1), total_mb=state.max_bytes / 1e6),
        dropped=state.dropped,
        lost=state.lost,
        reason=None if state.reason is None else state.reason[:_SENTENCE],
    )
