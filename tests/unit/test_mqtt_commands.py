"""Only what is in the table runs, checked, at a bounded rate, once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from agent.errors import KentonganError
from agent.mqtt.commands import Commands, NoArgs, Order, Pace, ResendArgs
from agent.mqtt.messages import Reply
from agent.records import Scalar
from tests.fakes.clock import ManualClock

BOOT = "7d444840-9dc0-41d1-b245-5ffdce74fad2"


class Desk:
    """A gate with a small table, and what ran behind it."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.clock = ManualClock()
        self.ran: list[Any] = []
        table = [
            Order("ping", NoArgs, self._note),
            Order("resend", ResendArgs, self._note),
            Order("fail", NoArgs, self._fail),
            Order("crash", NoArgs, self._crash),
        ]
        self.commands = Commands(table, device="pole-17", boot=BOOT, clock=self.clock, pace=pace)

    def ask(self, plain: object, correlation: bytes | None = None, *, retained: bool = False) -> Reply | None:
        payload = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
        return self.commands.answer(payload, correlation, retained=retained)

    def answer(self, plain: object, correlation: bytes | None = None) -> Reply:
        reply = self.ask(plain, correlation)
        assert reply is not None
        return reply

    def _note(self, args: Any) -> Mapping[str, Scalar]:
        self.ran.append(args)
        return {"runs": len(self.ran)}

    def _fail(self, _: NoArgs) -> Mapping[str, Scalar]:
        raise KentonganError("the lens cap is on; take it off")

    def _crash(self, _: NoArgs) -> Mapping[str, Scalar]:
        raise ZeroDivisionError


def test_given_a_known_command_then_it_runs_and_is_answered() -> None:
    desk = Desk()
    reply = desk.answer({"command": "resend", "id": "7", "args": {"first": 3, "last": 9}})
    assert (reply.ok, reply.id, reply.command, reply.result) == (True, "7", "resend", {"runs": 1})
    assert desk.ran == [ResendArgs(first=3, last=9)]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ({"command": "reboot"}, "reboot: this box knows no such command, only crash, fail, ping, resend"),
        ({"command": "resend", "args": {"first": 3}}, "resend: last: Field required"),
        ({"command": "resend", "args": {"first": 3, "last": 9, "shell": "rm"}}, "resend: shell: "),
        ({"command": "ping", "args": {"x": "s3cret" * 3}}, "ping: x: "),
        ({"command": "__import__('os')"}, "command: command: "),
        ({"command": "ping", "sudo": True}, "command: sudo: "),
        ({"command": "ping", "args": {f"a{n}": 1 for n in range(40)}}, "command: args: "),
        ([], "command: is no flat JSON object"),
        (b"\x00\xff", "command: is no JSON"),
        (b"[" * 20_000, "command: is no"),
        (b'{"command":"ping","args":{"a":NaN}}', "command: is no JSON"),
        (b" " * 70_000, "command: a message of 70000 bytes is refused"),
        ({"command": "fail"}, "the lens cap is on; take it off"),
        ({"command": "crash"}, "crash: failed inside the agent; its log says more"),
    ],
)
def test_given_anything_else_then_one_sentence_without_values(message: object, sentence: str) -> None:
    desk = Desk()
    reply = desk.answer(message)
    assert not reply.ok
    assert (reply.error or "").startswith(sentence)
    assert "s3cret" not in (reply.error or "")
    assert not desk.ran


def test_given_the_same_command_twice_then_it_runs_once_and_is_answered_twice() -> None:
    desk = Desk()
    first = desk.answer({"command": "ping", "id": "7"})
    desk.clock.advance(1)
    again = desk.answer({"command": "ping", "id": "7"})
    assert len(desk.ran) == 1
    assert (again.result, again.time) == (first.result, first.time + 1)
    desk.answer({"command": "ping"}, b"\x01")
    desk.answer({"command": "ping"}, b"\x01")
    desk.answer({"command": "ping"})
    desk.answer({"command": "ping"})
    assert len(desk.ran) == 4


def test_given_many_commands_then_only_the_last_are_remembered() -> None:
    desk = Desk(Pace(burst=1000))
    for number in range(70):
        desk.answer({"command": "ping", "id": str(number)})
    desk.answer({"command": "ping", "id": "69"})
    desk.answer({"command": "ping", "id": "0"})
    assert len(desk.ran) == 71


def test_given_a_flood_then_it_is_refused_counted_and_hardly_logged(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(Pace(burst=3, per_s=2))
    assert [desk.ask({"command": "ping"}) is None for _ in range(100)].count(True) == 97
    assert desk.commands.refused == 97
    assert len(caplog.records) == 7
    desk.clock.advance(1)
    assert desk.ask({"command": "ping"}) is not None
    assert desk.ask({"command": "ping"}) is not None
    assert desk.ask({"command": "ping"}) is None


def test_two_commands_cannot_have_one_name() -> None:
    order = Order("ping", NoArgs, lambda _: {})
    with pytest.raises(ValueError, match="one name"):
        Commands([order, order], device="pole-17", boot=BOOT, clock=ManualClock())


def test_given_a_retained_command_then_it_never_runs_and_says_why() -> None:
    desk = Desk()
    reply = desk.ask({"command": "ping", "id": "7"}, retained=True)
    assert reply is not None
    assert (reply.ok, reply.id, reply.command) == (False, "7", "ping")
    assert "retained" in (reply.error or "")
    assert desk.ran == []
    assert desk.answer({"command": "ping", "id": "7"}).ok, "the same one sent properly runs"
