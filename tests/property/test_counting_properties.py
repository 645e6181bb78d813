from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.clock import Instant
from agent.records import Interval
from agent.scene.crossing import Crossing, CrossingWatch
from agent.scene.intervals import Timetable
from agent.scene.roster import Roster
from tests.fakes.clock import START_UTC_S, ManualClock
from tests.fakes.walkers import SIZE, film, instant, path, tracks

LINE = ((100.0, 240.0), (540.0, 260.0))
Feet = list[tuple[float, float]]
size = st.floats(15, 120)
inside_x = st.floats(200, 440)


def cross(feet: Feet, line: tuple[tuple[float, float], tuple[float, float]] = LINE, **more: float) -> list[Crossing]:
    roster, watch = Roster(), CrossingWatch(np.array([line]))
    found: list[Crossing] = []
    for seen, at in film(path(1, feet, **more)):
        found += watch.see(roster.see(seen, at, SIZE))
    return found + watch.see(roster.see(tracks([], [1]), instant(len(feet) / 10 + 5), SIZE))


def drive(x: float, drift: float, steps: int, *, up: bool) -> Feet:
    y = np.linspace(60, 460, steps)
    feet = list(zip(np.linspace(x, x + drift, steps).tolist(), y.tolist(), strict=True))
    return feet[::-1] if up else feet


@given(inside_x, st.floats(-80, 80), st.integers(12, 80), st.sampled_from((1, -1)), size, size)
@settings(deadline=None, max_examples=60)
def test_a_true_crossing_counts_once_and_its_direction_is_right(
    x: float,
    drift: float,
    steps: int,
    way: int,
    width: float,
    height: float,
) -> None:
    found = cross(drive(x, drift, steps, up=way < 0), width=width, height=height)
    assert [crossing.toward for crossing in found] == [way]
    assert 0 <= found[0].along <= 1


@given(inside_x, st.floats(-80, 80), st.integers(12, 80), size, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_noise_of_three_hundredths_of_a_box_changes_nothing(
    x: float, drift: float, steps: int, box: float, seed: int
) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.02 * box, (steps, 2))
    feet = [
        (a + float(n), b + float(m)) for (a, b), (n, m) in zip(drive(x, drift, steps, up=False), noise, strict=True)
    ]
    assert [crossing.toward for crossing in cross(feet, width=box, height=box)] == [1]


@given(inside_x, st.floats(-80, 80), st.integers(12, 60), st.sampled_from((1, -1)), size)
@settings(deadline=None, max_examples=60)
def test_turning_the_line_round_turns_the_direction_round(
    x: float,
    drift: float,
    steps: int,
    way: int,
    box: float,
) -> None:
    feet = drive(x, drift, steps, up=way < 0)
    there = cross(feet, width=box, height=box)
    back = cross(feet, (LINE[1], LINE[0]), width=box, height=box)
    assert [crossing.toward for crossing in there] == [-crossing.toward for crossing in back]
    assert [crossing.mono_s for crossing in there] == [crossing.mono_s for crossing in back]


@given(inside_x, st.floats(-40, -10), st.integers(10, 40), st.integers(0, 100), st.floats(5, 150), size)
@settings(deadline=None, max_examples=60)
def test_one_frame_that_flickers_over_the_line_never_counts(
    x: float, before: float, frames: int, at: int, beyond: float, box: float
) -> None:
    y = 240 + (x - 100) * 20 / 440
    feet = [(x, y + before)] * frames
    feet[at % frames] = (x, y + beyond)
    assert cross(feet, width=box, height=box) == []


@given(st.lists(st.tuples(inside_x, st.floats(-1, 1)), min_size=2, max_size=60), st.floats(40, 120))
@settings(deadline=None, max_examples=60)
def test_whatever_trembles_within_the_band_never_counts(places: list[tuple[float, float]], box: float) -> None:
    x = places[0][0]
    y = 240 + (x - 100) * 20 / 440
    assert cross([(x, y + 0.045 * box * way) for _, way in places], width=box, height=box) == []


@given(st.lists(st.tuples(st.floats(50, 590), st.floats(50, 460)), min_size=2, max_size=40), size)
@settings(deadline=None, max_examples=60)
def test_crossings_of_one_track_alternate(feet: Feet, box: float) -> None:
    # A box that leaps about may pass beyond the line's end; without that, to and fro take turns.
    long = ((-5000.0, 250.0), (5000.0, 250.0))
    lingering = [foot for foot in feet for _ in range(3)]
    ways = [crossing.toward for crossing in cross(lingering, long, width=box, height=box)]
    assert all(first == -second for first, second in itertools.pairwise(ways))


moves = st.one_of(
    st.tuples(st.just("frame"), st.floats(0.02, 3.0)),
    st.tuples(st.just("tick"), st.floats(0.1, 200.0)),
    st.tuples(st.just("step"), st.floats(-3000.0, 5000.0)),
    st.tuples(st.just("restart"), st.floats(0.0, 500.0)),
    st.tuples(st.just("stop"), st.floats(0.0, 500.0)),
)


@given(st.lists(moves, max_size=60), st.sampled_from([10, 60, 300]))
@settings(deadline=None, max_examples=60)
def test_intervals_line_up_whatever_happens(story: list[tuple[str, float]], length: int) -> None:
    clock, table = ManualClock(), Timetable(length)
    closed = table.see(clock.now())
    held_s = 0.0
    for what, amount in story:
        if what == "step":
            # What is set back adds up: by more than an hour in all, a new series may begin.
            held_s = max(0.0, held_s - amount)
            if held_s <= 3000.0:
                clock.step_utc(amount)
            else:
                held_s += amount
            continue
        clock.advance(amount)
        held_s = max(0.0, held_s - amount)
        if what == "frame":
            closed += table.see(clock.now())
        elif what == "tick":
            closed += table.tick(clock.now())
        elif what == "stop":
            closed += table.cut(clock.now())
        if what in ("stop", "restart"):
            table = Timetable(length, table.state())
    for before, after in itertools.pairwise(closed):
        assert before.interval.end == after.interval.start
    for each in closed:
        assert each.interval.end > each.interval.start
        assert each.interval.partial or (each.interval.start % length == 0 and each.interval.end % length == 0)
        assert 0 <= each.quality.watched <= 1
        assert (
            each.quality.valid or each.quality.reasons or each.quality.watched < 0.9 or each.quality.detect_fps is None
        )


class Street:
    """A box through starts of the machine: true time, what its clock makes of it, and the intervals on the wire."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.true_s, self.mono_s, self.error_s, self.boots = START_UTC_S + 7.0, 30.0, 0.0, 1
        self.synced = True
        self.table = Timetable(length, machine="1")
        self.sure: list[Interval] = []
        self.unsure: list[Interval] = []

    def go(self, what: str, amount: float) -> None:
        if what == "boot":
            self.boots += 1
            self.true_s += 40.0 + abs(amount)
            self.mono_s, self.synced, self.error_s = 30.0, False, amount
            self.unsure = []  # nobody will ever know when those were
        elif what == "set":
            self._set()
        elif what == "doubt" and self.synced:  # and stepped forward: time that was trusted never goes backwards
            step_s = 1.5 + abs(amount)  # less is a correction, for which nothing is cut
            self.synced, self.error_s = False, -step_s
            self.true_s += step_s
        if what in ("boot", "restart"):
            self.table = Timetable(self.length, self.table.state(), machine=str(self.boots))
        self._look(what, abs(amount) % 30 if what in ("tick", "set", "cut") else 0.1)

    def _set(self) -> None:
        self.synced = True
        moved = [Interval(start=one.start - self.error_s, end=one.end - self.error_s) for one in self.unsure]
        self.sure += moved
        self.unsure, self.error_s = [], 0.0

    def _look(self, what: str, after_s: float) -> None:
        self.true_s, self.mono_s = self.true_s + after_s, self.mono_s + after_s
        at = Instant(self.mono_s, self.true_s + self.error_s, self.synced)
        closed = self.table.cut(at) if what == "cut" else self.table.tick(at) if what == "tick" else self.table.see(at)
        (self.sure if self.synced else self.unsure).extend(each.interval for each in closed)


turns = st.tuples(
    st.sampled_from(("frame", "tick", "tick", "cut", "restart", "boot", "set", "doubt")), st.floats(-9000.0, 9000.0)
)


@given(st.lists(turns, max_size=60), st.sampled_from([10, 60, 300]))
@settings(deadline=None, max_examples=150)
def test_intervals_on_a_clock_that_was_set_tile_the_time_over_boots_on_wrong_clocks(
    story: list[tuple[str, float]], length: int
) -> None:
    street = Street(length)
    for what, amount in [("frame", 0.0), *story, ("set", 0.0), *[("frame", 0.0), ("tick", 29.0)] * 12]:
        street.go(what, amount)
    told = sorted(street.sure, key=lambda one: one.start)
    assert told[0].start == START_UTC_S // length * length
    assert all(one.end > one.start for one in told)
    for before, after in itertools.pairwise(told):
        assert abs(before.end - after.start) < 0.003
    assert street.true_s - told[-1].end < length + 3
