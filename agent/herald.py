"""Tells what is new in the updates as events of every camera they concern, stored like any other record.

Promises that each phase of an update is told once, over any restart: what was told is stored in the transaction of
its record. Decides nothing about updates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from agent.clock import Instant
from agent.config.schema import Camera
from agent.records import ClockState, EventKind, ModelRef, Phase, Record
from agent.scene.rule import Setting
from agent.update.news import News, Told, event_of, news_of, told_before
from agent.update.status import UpdateStatus
from agent.updating import Updating


class Sink(Protocol):
    """Where records go: the outbox."""

    def put(self, records: Sequence[Record], state: Mapping[str, str]) -> None:
        """Take records and the state that belongs to them; both become durable together."""
        ...


class Herald:
    """Tells what is new in the updates as events, each once, over any restart.

    Args:
        updating: The updates.
        sink: Where records go.
        state: What was stored, of updates and of others.
    """

    def __init__(self, updating: Updating, sink: Sink, state: Mapping[str, str]) -> None:
        self._updating = updating
        self._sink = sink
        kept = {name: told_before(text) for name, text in state.items() if name.startswith(_STORED)}
        self._told: dict[str, Told | None] = {name.removeprefix(_STORED): told for name, told in kept.items()}
        self._shown: tuple[tuple[str, str | None], ...] | None = None

    def tell(self, at: Instant, models: Mapping[str, ModelRef]) -> bool:
        """Record what is new.

        Args:
            at: The present.
            models: The model in charge of every slot.

        Returns:
            Whether birth and health should be sent again: a state or a reason has changed.
        """
        statuses = self._updating.statuses()
        for status in statuses:
            news = news_of(status, self._told.get(status.slot))
            if news is not None:
                records = [
                    self._record(at, camera, models.get(camera.model), status, news, phase)
                    for camera in self._concerned(status)
                    for phase in news.phases
                ]
                self._sink.put(records, {f"{_STORED}{status.slot}": news.told.text()})
                self._told[status.slot] = news.told
        shown = tuple((f"{status.slot} {status.state} {status.watching}", status.reason) for status in statuses)
        is_new, self._shown = shown != self._shown, shown
        return is_new

    def _record(
        self, at: Instant, camera: Camera, model: ModelRef | None, status: UpdateStatus, news: News, phase: Phase
    ) -> Record:
        kind: EventKind = "model_update" if self._is_model(status) else "configuration_update"
        event = Setting(self._updating.config.device, camera).event_id(kind, status.slot, news.since_s, news.serial)
        return Record(
            kind="event",
            camera=camera.name,
            time=at.utc_s,
            clock=ClockState(synced=at.synced, error_ms=at.error_ms),
            model=model,
            body=event_of(status, news, phase, kind, event),
            mono_s=at.mono_s,
        )

    def _is_model(self, status: UpdateStatus) -> bool:
        return any(camera.model == status.slot for camera in self._updating.config.cameras)

    def _concerned(self, status: UpdateStatus) -> list[Camera]:
        cameras = self._updating.config.cameras
        return [camera for camera in cameras if camera.model == status.slot or not self._is_model(status)]


_STORED: Final = "/updates/"
"""Before a slot's name, the name under which is stored what was told of it; no camera can be called so."""
