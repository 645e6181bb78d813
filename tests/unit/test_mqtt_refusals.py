"""What the broker refuses is tried again ever more rarely, and holds up nothing that it takes."""

from __future__ import annotations

from agent.mqtt.refusals import MAX_DEFERRED, MAX_IN_ROW, Refusals
from agent.mqtt.standing import Standing


def doubling() -> Refusals:
    return Refusals(lambda rounds: 2.0**rounds)


def test_a_refused_record_waits_longer_each_time_and_is_then_sent_once() -> None:
    refusals = doubling()
    refusals.refused(7, 100.0)
    assert refusals.must_wait(7, 100.5)
    assert not refusals.must_wait(8, 100.5), "others go on"
    assert refusals.due(101.0) == [7]
    refusals.tried(7)
    assert not refusals.must_wait(7, 101.0)
    refusals.refused(7, 101.0)
    assert refusals.due(102.5) == []
    assert not refusals.must_wait(7, 103.0)
    assert refusals.due(999.0) == [], "it is on its way"


def test_when_everything_is_refused_nothing_is_sent_before_the_first_is_due() -> None:
    refusals = doubling()
    for seq in range(1, MAX_IN_ROW + 1):
        assert not refusals.is_held_back(0.0)
        refusals.refused(seq, 0.0)
    assert refusals.is_held_back(0.5)
    assert not refusals.is_held_back(1.0)
    refusals.accepted()
    assert not refusals.is_held_back(0.5)


def test_what_is_remembered_is_bounded_and_what_is_no_record_is_not_remembered() -> None:
    refusals = Refusals(lambda _: 1.0)
    refusals.refused(0, 0.0)
    for seq in range(1, MAX_DEFERRED + 100):
        refusals.refused(seq, 0.0)
    assert refusals.due(9.0) == list(range(1, MAX_DEFERRED + 1))


def test_a_complaint_stands_until_nothing_waits_and_explains_a_connection_that_ends() -> None:
    refusals = doubling()
    assert refusals.reason_of("the connection broke") == "the connection broke"
    assert refusals.complain("refuses a message")
    assert not refusals.complain("refuses a message"), "said already"
    assert refusals.reason_of("the connection broke") == "refuses a message"
    refusals.refused(7, 0.0)
    assert not refusals.accepted(), "7 still waits"
    refusals.tried(7)
    refusals.too_large()
    assert not refusals.accepted(), "a record that is too large for it still waits"
    refusals.begin()
    assert refusals.reason_of("the connection broke") == "the connection broke", "this connection refused nothing yet"
    assert refusals.accepted()
    assert refusals.complaint is None
    assert not refusals.accepted()


def test_a_connection_that_ends_by_itself_is_a_loss_and_one_that_is_ended_is_none() -> None:
    standing = Standing()
    standing.up(None)
    standing.count(in_flight=3, sent=5, acknowledged=2, refused=1)
    standing.down("the connection broke", is_stopping=False)
    now = standing.now()
    assert (now.connected, now.reason, now.in_flight, now.reconnects) == (False, "the connection broke", 0, 1)
    assert (now.sent, now.acknowledged, now.refused) == (5, 2, 1)
    standing.up("refuses a message")
    assert standing.now().reason == "refuses a message"
    standing.tell(None)
    standing.down("stopped" * 500, is_stopping=True)
    assert standing.now().reconnects == 1
    assert len(standing.now().reason or "") == 1000
