"""Films in memory: any player shows them, every picture comes out as it went in, damage is told."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import EvidenceError
from agent.evidence.avi import Picture, pack, unpack
from tests.fakes.clips import number_of, picture

SIZE = (160, 96)


def pictures_at(*seconds_s: float) -> list[Picture]:
    made = []
    for number, at_s in enumerate(seconds_s):
        _, jpeg = cv2.imencode(".jpg", picture(number))
        made.append(Picture(at_s, 1e9 + at_s, jpeg.tobytes()))
    return made


def shown(path: Path) -> list[tuple[float, int]]:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    seen = []
    while video.grab():
        seen.append((video.get(cv2.CAP_PROP_POS_MSEC) / 1000, number_of(video.retrieve()[1])))
    return seen


def test_a_player_shows_every_picture_at_its_time_and_stands_still_in_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    path.write_bytes(pack(pictures_at(5, 5.25, 5.5, 7.5, 7.75), SIZE, 4, {"camera": "gate"}))
    assert shown(path) == [(0, 0), (0.25, 1), (0.5, 2), (2.5, 3), (2.75, 4)]


def test_a_gap_of_minutes_is_shortened_in_the_film_and_true_in_its_comment(tmp_path: Path) -> None:
    film = pack(pictures_at(0, 600), SIZE, 2, {})
    path = tmp_path / "film.avi"
    path.write_bytes(film)
    assert shown(path)[-1] == (30, 1)
    assert [each.mono_s for each in unpack(film)[1]] == [0, 600]


@given(st.lists(st.tuples(st.floats(0.01, 9), st.binary(min_size=1, max_size=40)), min_size=1, max_size=12))
def test_what_was_packed_comes_out_unchanged(steps: list[tuple[float, bytes]]) -> None:
    at_s, pictures = 0.0, []
    for step_s, jpeg in steps:
        at_s = round(at_s + step_s, 3)
        pictures.append(Picture(at_s, round(1e9 + at_s, 3), jpeg))
    assert unpack(pack(pictures, SIZE, 4, {"events": []})) == ({"events": []}, pictures)


@given(st.integers(0, 2000), st.integers(0, 3))
def test_a_damaged_film_is_refused_or_differs_never_a_crash(place: int, how: int) -> None:
    film = bytearray(pack(pictures_at(0, 1), SIZE, 1, {"camera": "gate"}))
    damaged = film[: place % len(film)] if how == 0 else film
    if how:
        damaged[place % len(film)] ^= 1 << how
    try:
        unpack(bytes(damaged))
    except EvidenceError as error:
        assert "missing or was changed" in str(error)  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize("film", [b"", b"RIFF", b"RIFF\0\0\0\0AVI ", b"RIFF\0\0\0\0AVI LIST\xff\xff\xff\xffmovi"])
def test_what_is_no_film_is_refused_in_a_sentence(film: bytes) -> None:
    with pytest.raises(EvidenceError, match="no whole film"):
        unpack(film)
