"""Which row goes next: a short backlog in order, a long one paced behind alarms and what is new."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.mqtt.lanes import Lanes
from agent.outbox import Outbox
from tests.fakes.clock import ManualClock
from tests.fakes.records import count_record, event_record


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Outbox]:
    one = Outbox(tmp_path / "outbox.sqlite", boot=str(uuid.uuid4()), clock=ManualClock())
    yield one
    one.close()


def lanes(box: Outbox, *, window: int = 10, per_s: float = 100, unanswered: int | None = None) -> Lanes:
    return Lanes(box, window=window, backfill_per_s=per_s, unanswered=unanswered, now_s=0.0)


def take(lane: Lanes, now_s: float, most: int = 1_000) -> list[tuple[int, bool]]:
    taken = []
    while len(taken) < most and (one := lane.next(now_s)) is not None:
        taken.append((one.row.seq, one.backfill))
    return taken


def test_given_a_short_backlog_then_it_goes_first_in_order_unpaced(box: Outbox) -> None:
    box.append([count_record(i) for i in range(8)])
    lane = lanes(box)
    box.append([count_record(8)])
    assert take(lane, 0.0) == [*((seq, True) for seq in range(1, 9)), (9, False)]


def test_given_a_long_backlog_then_alarms_newest_first_then_new_then_the_rest_at_its_pace(box: Outbox) -> None:
    box.append([event_record(i) if i % 10 == 5 else count_record(i) for i in range(40)])
    lane = lanes(box)
    box.append([count_record(40), event_record(41)])
    first = take(lane, 0.0)
    assert first == [(36, True), (26, True), (16, True), (6, True), (41, False), (42, False), (1, True)]
    assert lane.due_s(0.0) == pytest.approx(0.01)
    assert [seq for seq, _ in take(lane, 0.055)] == [2, 3, 4, 5, 7], "the alarm 6 is not sent twice"
    box.append([count_record(42)])
    assert take(lane, 0.066) == [(43, False), (8, True)]
    rest = [seq for step in range(100) for seq, _ in take(lane, 1 + step)]
    assert rest == [seq for seq in range(9, 41) if seq not in {16, 26, 36}]
    assert lane.due_s(1000.0) is None


def test_given_a_backlog_nobody_answers_then_it_waits_for_an_answer(box: Outbox) -> None:
    box.append([count_record(i) for i in range(60)])
    lane = lanes(box, unanswered=20, per_s=10_000)
    assert len([seq for step in range(9) for seq, _ in take(lane, step)]) == 20
    assert lane.due_s(9.0) is None
    lane.answered()
    assert len([seq for step in range(10, 19) for seq, _ in take(lane, step)]) == 20


def test_given_a_wish_to_resend_then_what_is_held_goes_before_the_rest(box: Outbox) -> None:
    box.append([event_record(i) if i == 4 else count_record(i) for i in range(300)])
    lane = lanes(box, per_s=10_000)
    assert take(lane, 0.0, 4) == [(5, True), (1, True)]
    box.done(7)
    assert lane.resend(5, 8)
    assert [seq for seq, _ in take(lane, 1.0, 5)] == [5, 6, 8, 2, 3]
    assert lane.resend(1_000, 2_000)
    assert [lane.resend(1, 1) for _ in range(40)].count(False) > 5


def test_given_rows_that_went_meanwhile_then_they_are_skipped(box: Outbox) -> None:
    box.append([count_record(i) for i in range(5)])
    lane = lanes(box)
    box.done(1, 2, 3, 4, 5)
    box.append([count_record(9)])
    assert take(lane, 0.0) == [(6, False)]


def test_given_nothing_then_nothing_goes(box: Outbox) -> None:
    lane = lanes(box)
    assert lane.next(0.0) is None
    assert lane.due_s(0.0) is None
