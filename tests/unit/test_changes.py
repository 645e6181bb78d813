"""What is done for other threads between two turns: in time and whole, or not at all, and who asked hears which."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agent.changes import MOST, BusyError, Changes, EndedError, StuckError
from agent.errors import ConfigError

LONG_S = 10.0
TURN_S = 0.5  # long enough that a loop which begins at once has begun, on a machine that does other work too


class Hand:
    """A loop that is turned by hand, and those who ask it."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.done: list[int] = []
        self._askers = ThreadPoolExecutor(MOST + 2)

    def ask(self, do: Callable[[], Any], timeout_s: float = LONG_S) -> Any:
        """Have another thread ask, and come back when it waits."""
        before = self.waiting
        asked = self._askers.submit(self.changes.ask, do, timeout_s)
        self.until(lambda: self.waiting > before or asked.done())
        return asked

    @property
    def waiting(self) -> int:
        return len(self.changes._refuse_newest)

    def until(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + LONG_S
        while not condition():
            assert time.monotonic() < end_s
            time.sleep(0.001)


def test_given_some_who_ask_then_each_is_done_in_the_loops_thread_in_order_and_gets_its_answer() -> None:
    hand = Hand()
    asked = [hand.ask(lambda n=n: hand.done.append(n) or (n, threading.get_ident())) for n in range(3)]
    assert hand.done == []
    hand.changes.do_waiting()
    assert hand.done == [0, 1, 2]
    assert [one.result(LONG_S) for one in asked] == [(n, threading.get_ident()) for n in range(3)]
    hand.changes.do_waiting()
    assert hand.done == [0, 1, 2], "once"


@pytest.mark.parametrize("fault", [ConfigError("this can never count"), TimeoutError("of its own"), BusyError("too")])
def test_given_one_that_fails_then_who_asked_gets_that_very_fault_and_the_others_are_done(fault: Exception) -> None:
    hand = Hand()

    def fail() -> None:
        raise fault

    failed, other = hand.ask(fail), hand.ask(lambda: "done")
    hand.changes.do_waiting()
    assert failed.exception(LONG_S) is fault
    assert other.result(LONG_S) == "done"


def test_given_a_loop_that_does_not_turn_in_time_then_it_is_refused_and_never_done() -> None:
    hand = Hand()
    with pytest.raises(BusyError, match=r"too busy for 0\.01 s, so this was not done"):
        hand.changes.ask(lambda: hand.done.append(1), 0.01)
    assert hand.waiting == 0, "it leaves its place to others"
    hand.changes.do_waiting()
    assert hand.done == []


def test_given_one_that_gives_up_while_another_is_done_then_it_is_not_begun() -> None:
    hand = Hand()

    def take_long() -> None:
        assert isinstance(hasty.exception(LONG_S), BusyError)

    first = hand.ask(take_long)
    hasty = hand.ask(lambda: hand.done.append(1), 0.05)
    hand.changes.do_waiting()
    assert first.result(LONG_S) is None
    assert hand.done == []


def test_given_one_that_has_begun_then_its_end_is_waited_for() -> None:
    hand = Hand()
    asked = hand.ask(lambda: time.sleep(1.2 * TURN_S) or "done", TURN_S)
    hand.changes.do_waiting()
    assert asked.result(LONG_S) == "done"


def test_given_one_that_begins_and_does_not_end_then_who_asked_hears_that_the_agent_is_stuck() -> None:
    hand = Hand()
    free = threading.Event()
    asked = hand.ask(lambda: free.wait(LONG_S), TURN_S)
    loop = threading.Thread(target=hand.changes.do_waiting)
    loop.start()
    assert isinstance(asked.exception(LONG_S), StuckError)
    free.set()
    loop.join(LONG_S)


def test_given_too_many_wait_then_the_newest_is_refused_at_once_and_those_before_it_are_done() -> None:
    hand = Hand()
    asked = [hand.ask(lambda n=n: hand.done.append(n)) for n in range(MOST)]
    began_s = time.monotonic()
    with pytest.raises(BusyError, match="others wait"):
        hand.changes.ask(lambda: hand.done.append(99), LONG_S)
    assert time.monotonic() - began_s < LONG_S / 2
    hand.changes.do_waiting()
    assert [one.result(LONG_S) for one in asked] == [None] * MOST
    assert hand.done == list(range(MOST))


def test_given_a_loop_that_ends_then_who_waits_and_who_comes_later_is_refused_at_once() -> None:
    hand = Hand()
    asked = hand.ask(lambda: hand.done.append(1))
    hand.changes.end()
    assert isinstance(asked.exception(LONG_S), EndedError)
    with pytest.raises(EndedError, match="is ending"):
        hand.changes.ask(lambda: hand.done.append(2), LONG_S)
    hand.changes.do_waiting()
    assert hand.done == []
