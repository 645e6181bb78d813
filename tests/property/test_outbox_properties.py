"""Whatever is appended, delivered, reopened and dropped: numbers rise by one and every one is accounted for."""

from __future__ import annotations

import itertools
import json
import random
import tempfile
import uuid
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from agent.mqtt.coding import decode_record
from agent.mqtt.rows import Setting, encode_row
from agent.mqtt.topics import Address, parse, record_topic
from agent.outbox import Batch, Outbox
from agent.outbox.rows import joined, pack, unpack
from agent.records import (
    ClockState,
    EventBody,
    GapBody,
    Interval,
    Quality,
    Record,
    ZoneBody,
    dump,
    load,
    utc_seconds,
    utc_text,
)
from tests.fakes.clock import ManualClock
from tests.fakes.records import count_record, event_record

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
NUMBER = st.floats(0, 1e9, allow_nan=False, allow_infinity=False)
RUN = st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda pair: (pair[0], pair[0] + pair[1]))
TIME = st.integers(0, 4_102_444_800_000).map(lambda milliseconds: milliseconds / 1000)


class OutboxMachine(RuleBasedStateMachine):
    """An outbox and a list of what it must hold."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._held: dict[int, int] = {}  # seq: which record
        self._last = 0
        self._made = 0
        self._state = "0"
        self._open()

    def _open(self) -> None:
        path = Path(self._folder.name) / "outbox.sqlite"
        self._box = Outbox(path, boot=str(uuid.uuid4()), clock=ManualClock(), max_bytes=64 << 20)

    @rule(number=st.integers(0, 5), skipped=st.integers(0, 3))
    def append(self, number: int, skipped: int) -> None:
        self._state = str(int(self._state) + number)
        records = [count_record(self._made + n) for n in range(number)]
        lost = {"count": skipped} if skipped else {}
        seqs = self._box.commit(Batch(records=records, state={"made": self._state}, skipped=lost))
        assert list(seqs) == list(range(self._last + skipped + 1, self._last + skipped + number + 1))
        self._held.update(zip(seqs, range(self._made, self._made + number), strict=True))
        self._made += number
        self._last += skipped + number
        if skipped:
            self._last += 1
            self._held[self._last] = -1

    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        seqs = data.draw(st.lists(st.integers(1, self._last + 2), max_size=5))
        self._box.done(*seqs)
        for seq in seqs:
            self._held.pop(seq, None)

    @rule(data=st.data())
    def done_through(self, data: st.DataObject) -> None:
        seq = data.draw(st.integers(0, self._last))
        self._box.done_through(seq)
        self._held = {one: what for one, what in self._held.items() if one > seq}

    @rule()
    def reopen(self) -> None:
        self._box.close()
        self._open()

    @invariant()
    def it_holds_what_it_must_in_order(self) -> None:
        rows = self._box.pending(0, 10_000)
        assert [row.seq for row in rows] == sorted(self._held)
        assert self._box.last == self._last
        assert self._box.depth().records == len(self._held)
        assert self._box.load_state().get("made", "0") == self._state
        for row in rows:
            if self._held[row.seq] >= 0:
                assert json.loads(row.body)["cumulative"] == self._held[row.seq]

    def teardown(self) -> None:
        self._box.close()
        self._folder.cleanup()


def test_the_outbox_holds_exactly_what_it_was_given_and_not_told_to_forget() -> None:
    quick = settings(max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(OutboxMachine, settings=quick)  # type: ignore[no-untyped-call]


@given(st.lists(RUN, max_size=20))
def test_joined_ranges_cover_the_same_numbers_without_touching(runs: list[tuple[int, int]]) -> None:
    whole = joined(runs)
    assert {n for first, last in whole for n in range(first, last + 1)} == {
        n for first, last in runs for n in range(first, last + 1)
    }
    assert all(one[1] + 1 < two[0] for one, two in itertools.pairwise(whole))


@given(st.dictionaries(TEXT, TEXT | NUMBER | st.booleans(), max_size=20))
def test_a_packed_body_comes_back(plain: dict[str, Any]) -> None:
    text = json.dumps(plain, ensure_ascii=False)
    assert unpack(pack(text)) == text


@given(TIME)
def test_a_time_comes_back_from_the_wire_to_the_millisecond(utc_s: float) -> None:
    assert abs(utc_seconds(utc_text(utc_s)) - utc_s) < 0.001


EVENTS = st.builds(
    EventBody,
    kind=st.sampled_from(["crowd", "queue", "camera_lost", "wrong_way"]),
    phase=st.sampled_from(["start", "update", "end"]),
    event=TEXT,
    where=st.none() | TEXT,
    severity=st.sampled_from(["info", "warning", "alarm"]),
    confidence=st.floats(0, 1),
    since=TIME,
    details=st.dictionaries(TEXT, TEXT | NUMBER | st.booleans() | st.lists(TEXT, max_size=3), max_size=5),
)
ZONES = st.builds(
    ZoneBody,
    zone=TEXT,
    interval=st.builds(Interval, start=TIME, end=TIME, partial=st.booleans()),
    entered=st.none() | st.integers(0, 10**6),
    density_per_km=st.none() | NUMBER,
    quality=st.builds(Quality, valid=st.booleans(), watched=st.floats(0, 1), reasons=st.just(("dark", "moved"))),
)
GAPS = st.builds(
    GapBody,
    first_seq=st.integers(1, 99),
    last_seq=st.integers(1, 99),
    runs=st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), min_size=1, max_size=5).map(tuple),
    dropped=st.dictionaries(st.sampled_from(["count", "zone"]), st.integers(0, 99)),
    why=st.sampled_from(["outbox_full", "expired"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=EVENTS | ZONES | GAPS, time_s=TIME, synced=st.booleans(), mono_s=st.none() | NUMBER)
def test_a_record_comes_back_through_disk_and_wire(
    body: EventBody | ZoneBody | GapBody,
    time_s: float,
    synced: bool,  # noqa: FBT001 - drawn
    mono_s: float | None,
) -> None:
    kind = {EventBody: "event", ZoneBody: "zone", GapBody: "gap"}[type(body)]
    camera = None if kind == "gap" else "c"
    record = Record(
        kind=kind,  # type: ignore[arg-type]
        camera=camera,
        time=time_s,
        clock=ClockState(synced=synced),
        body=body,
        mono_s=mono_s,
    )
    assert load(Record, dump(record)).body == load(type(body), dump(body))
    with tempfile.TemporaryDirectory() as folder:
        box = Outbox(Path(folder) / "o.sqlite", boot=str(uuid.uuid4()), clock=ManualClock())
        box.append([record])
        (row,) = box.pending()
        box.close()
    payload = encode_row(row, "pole-17", Setting(ManualClock(synced=False).now(), ""), backfill=True)
    topic = record_topic("pole-17", camera, row.kind)
    message = decode_record(payload, parse(topic))
    assert message.body == load(type(body), dump(body))
    assert (message.envelope.id, message.envelope.seq, message.envelope.backfill) == (row.id, 1, True)
    assert parse(topic) == Address("pole-17", camera, kind)


def _record(kind: str, number: int) -> Record:
    if kind == "count":
        return count_record(number)
    return event_record(number, severity="alarm" if kind == "alarm" else "info")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), st.floats(0, 1))
def test_given_a_full_store_then_what_is_held_or_told_gone_is_everything(seed: int, share: float) -> None:
    choose = random.Random(seed)
    kinds = choose.choices(["count", "alarm", "info"], [share, (1 - share) / 2, (1 - share) / 2], k=6_000)
    with tempfile.TemporaryDirectory() as folder:
        box = Outbox(Path(folder) / "o.sqlite", boot=str(uuid.uuid4()), clock=ManualClock(), max_bytes=1 << 19)
        at = 0
        while at < len(kinds):
            size = choose.randint(1, 400)
            box.append([_record(kind, at + n) for n, kind in enumerate(kinds[at : at + size])])
            at += size
            if choose.random() < 0.1:
                box.pending(0, choose.randint(1, 5_000))
        rows = box.pending(0, 1_000_000)
        held = {row.seq for row in rows}
        gaps = [load(GapBody, json.loads(row.body)) for row in rows if row.kind == "gap"]
        gone = {seq for gap in gaps for first, last in gap.runs for seq in range(first, last + 1)}
        assert gone
        assert not held & gone
        assert held | gone == set(range(1, box.last + 1))
        assert sum(sum(gap.dropped.values()) for gap in gaps) == len(gone)
        box.close()
