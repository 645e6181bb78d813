"""A receiver of a group hears a box past its group while it asks for what is missing, and no longer."""

from __future__ import annotations

from agent.receive.alone import HearingAlone, topics_of

KEEP_S = 60.0


class ListedBroker:
    """A connection that only remembers what it is subscribed to, and each call."""

    def __init__(self) -> None:
        self.heard: set[str] = set()
        self.calls: list[str] = []

    def subscribe(self, topic: list[tuple[str, int]], /) -> None:
        self.calls.append("subscribe")
        self.heard |= {name for name, qos in topic if qos == 1}

    def unsubscribe(self, topic: list[str], /) -> None:
        self.calls.append("unsubscribe")
        self.heard -= set(topic)


class ReconnectingBroker(ListedBroker):
    """A connection that breaks, and is new again, while it is being subscribed to for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.alone: HearingAlone | None = None

    def subscribe(self, topic: list[tuple[str, int]], /) -> None:
        super().subscribe(topic)
        if self.alone is not None:
            alone, self.alone = self.alone, None
            self.heard = set()
            alone.forget([])


class Hours:
    """Seconds that a test winds."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def receiver() -> tuple[HearingAlone, ListedBroker, Hours]:
    broker, clock = ListedBroker(), Hours()
    return HearingAlone(broker, KEEP_S, clock), broker, clock


def test_given_a_box_with_holes_then_its_records_and_replies_are_heard_past_the_group() -> None:
    alone, broker, _ = receiver()
    alone.hear({"box-1"})
    assert broker.heard == {
        f"kentongan/v1/box-1/{leaf}" for leaf in ("+/count", "+/zone", "+/event", "gap", "reply")
    }  # no status: that comes to each receiver of the group anyway


def test_given_a_box_that_is_named_again_then_it_is_heard_longer_and_not_subscribed_twice() -> None:
    alone, broker, clock = receiver()
    alone.hear({"box-1"})
    clock.now_s += KEEP_S - 1
    alone.hear({"box-1"})
    clock.now_s += KEEP_S - 1
    alone.hear(set())
    assert broker.heard == set(topics_of("box-1"))
    assert broker.calls == ["subscribe"]


def test_given_a_box_without_holes_for_long_enough_then_it_is_heard_with_the_group_only() -> None:
    alone, broker, clock = receiver()
    alone.hear({"box-1"})
    clock.now_s += 30
    alone.hear({"box-2"})
    clock.now_s += KEEP_S - 29
    alone.hear(set())
    assert broker.heard == set(topics_of("box-2"))
    alone.hear({"box-1"})
    assert broker.heard == {*topics_of("box-1"), *topics_of("box-2")}


def test_given_a_new_connection_then_what_an_earlier_life_heard_is_dropped_and_can_be_asked_for_again() -> None:
    alone, broker, clock = receiver()
    alone.hear({"box-1"})
    broker.heard |= set(topics_of("box-0"))  # of the life before, kept in the broker's session
    alone.forget({"box-0", "box-1"})
    assert broker.heard == set()
    alone.hear({"box-1"})
    assert broker.heard == set(topics_of("box-1"))
    clock.now_s += KEEP_S + 1
    alone.hear(set())
    assert broker.heard == set()


def test_given_a_connection_that_is_new_while_a_box_is_being_named_then_it_is_heard_on_the_new_one() -> None:
    broker = ReconnectingBroker()
    alone = broker.alone = HearingAlone(broker, KEEP_S, Hours())
    alone.hear({"box-1"})
    alone.hear({"box-1"})
    assert broker.heard == set(topics_of("box-1"))
