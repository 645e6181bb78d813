"""What `watch` and `demo` show: only what was received, bounded, and harmless to a terminal."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

from rich.console import Console

from agent.mqtt.coding import encode
from agent.mqtt.messages import Status
from agent.mqtt.rows import record_message
from agent.mqtt.topics import box_topic, record_topic
from agent.ops.board import Board
from agent.outbox import record_id
from agent.records import EventBody, GapBody, Interval, Record
from tests.fakes.messages import BOOT, DEVICE, HEALTH
from tests.fakes.records import count_record, event_record, zone_record


def show(board: Board, record: Record, seq: int = 1, device: str = DEVICE) -> str | None:
    message = record_message(record, device=device, boot=BOOT, seq=seq, record_id=record_id(BOOT, seq))
    return board.take(record_topic(device, record.camera, record.kind), json.dumps(message).encode())


def rendered(board: Board) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(board.render())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def changed(record: Record, **fields: Any) -> Record:
    return dataclasses.replace(record, body=dataclasses.replace(record.body, **fields))


def gap() -> Record:
    body = GapBody(first_seq=1, last_seq=9, runs=((1, 9),), dropped={"count": 9}, why="outbox_full")
    return Record(kind="gap", camera=None, time=1.0, clock=count_record(0).clock, body=body)


def test_every_record_becomes_one_line_and_a_row() -> None:
    board = Board()
    assert (
        show(board, count_record(5), 7)
        == "#7 pole-17/junction-3 count north a_to_b 00:05:00: motorcycle 5, car 5, truck 2"
    )
    assert show(board, count_record(0)) == "#1 pole-17/junction-3 count north b_to_a 00:00:00: none"
    assert show(board, changed(count_record(0), volume=None, by_class=None)) is not None
    assert "not watched" in (show(board, zone_record(3)) or "")
    assert "event wrong_way start north" in (show(board, event_record(3)) or "")
    assert "gap 1-9: outbox_full" in (show(board, gap()) or "")
    text = rendered(board)
    for part in ("junction-3", "north", "motorcycle 5", "wrong_way", "crossing", "camera_lost", "6 messages received"):
        assert part in text, text


def test_an_interval_that_was_cut_short_is_told_from_a_whole_one_though_it_is_valid() -> None:
    board = Board()
    interval = Interval(start=300.0, end=303.5, partial=True)
    said = show(board, changed(count_record(5), interval=interval))
    assert said == "#1 pole-17/junction-3 count north a_to_b 00:05:00, cut short: motorcycle 5, car 5, truck 2"
    assert "crossing 00:05:00, cut short" in (show(board, changed(zone_record(3), interval=interval)) or "")
    assert rendered(board).count("cut short") == 2


def test_boxes_and_their_health_are_shown_and_are_no_lines_of_records() -> None:
    board = Board()
    online = Status(device=DEVICE, boot=BOOT, state="online")
    assert board.take(box_topic(DEVICE, "status"), encode(online)) == "pole-17 is online"
    assert board.take(box_topic(DEVICE, "health"), encode(HEALTH)) is None
    assert board.take(box_topic(DEVICE, "birth"), b"{}") is None
    text = rendered(board)
    assert "pole-17 online" in text
    assert "pole-17/junction-3: live, 10.0 detections/s" in text


def test_what_does_not_fit_the_contract_is_refused_by_name_and_harms_nothing() -> None:
    board = Board()
    for topic, payload in (
        ("weather/today", b"rain"),
        ("kentongan/v1/pole-17/junction-3/count", b"{}"),
        ("kentongan/v1/pole-17/health", b'{"cameras": [1]}'),
        ("kentongan/v1/pole-17/status", b"\xff"),
    ):
        assert (board.take(topic, payload) or "").startswith("refused: ")
    assert board.received == 0
    assert "last refused" in rendered(board)


def test_hostile_texts_reach_no_terminal() -> None:
    board = Board()
    nasty = "[/]\x1b[2Jgate[red]"
    line = show(board, changed(count_record(1), line=nasty))
    assert "\x1b" not in (line or "")
    show(board, changed(event_record(1), where=nasty, details={"note": nasty}))
    show(board, changed(zone_record(1), zone=nasty))
    text = rendered(board)
    assert "\x1b" not in text
    assert "[/]?[2Jgate[red]" in text


def test_memory_is_bounded_whatever_comes() -> None:
    board = Board()
    for number in range(700):
        show(board, changed(count_record(1), line=f"line-{number}"))
        show(board, event_record(number))
        board.take(
            f"kentongan/v1/box-{number}/status", encode(Status(device=f"box-{number}", boot=BOOT, state="online"))
        )
    assert len(board.counts) == 500
    assert len(board.boxes) == 500
    assert ("pole-17/junction-3", "line-699", "a_to_b") in board.counts
    assert [body.event for _, body in board.events] == [f"e{number}" for number in range(692, 700)]
    assert all(isinstance(body, EventBody) for _, body in board.events)
