from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.accuracy import clips
from tests.fakes.bright_street import FPS, LINE, write_bright_clip, write_bright_model

#: When each square's left end is half its side before the middle, in frames: see TRAFFIC of the bright street.
TO_THE_RIGHT, TO_THE_LEFT = (23, 38, 48), (33, 58)
FRAMES = 80


def crossing(frame: int, way: str, **more: Any) -> dict[str, Any]:
    return {"frame": frame, "class": "car", "direction": way, "line": "Middle", **more}


ALL = [
    *(crossing(frame, "a_to_b") for frame in TO_THE_RIGHT),
    *(crossing(frame, "b_to_a", certain=True, note="dark") for frame in TO_THE_LEFT),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_bright_model(folder / "bright.onnx")
    write_bright_clip(folder / "street.avi", FRAMES / FPS)
    return folder


def truth(folder: Path, crossings: list[dict[str, Any]], **more: Any) -> Path:
    (start, end), path = LINE["points"], folder / "truth.json"  # type: ignore[misc]
    video = {"id": "street", "file": "street.avi", "lines": [{"id": "Middle", "p1": start, "p2": end}], **more}
    path.write_text(json.dumps({"videos": [{**video, "crossings": crossings}]}), encoding="utf-8")
    return path


def run(folder: Path, crossings: list[dict[str, Any]], *words: str, **more: Any) -> int:
    words = ("--truth", str(truth(folder, crossings, **more)), "--model", str(folder / "bright.onnx"), *words)
    return clips.main(words)


def test_given_a_clip_that_is_counted_rightly_then_every_line_is_within_and_nothing_is_missed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, ALL, "--pictures", str(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "2 of 2 lines and directions within one vehicle or 5 %; 5 counted of 5; 0 under another class" in said
    assert [path.name for path in tmp_path.iterdir()] == ["street.png"]


def test_given_a_truth_that_differs_then_it_says_which_and_draws_what_went_wrong(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [crossing(5, "a_to_b", note="ghost"), crossing(9, "a_to_b", note="ghost"), *ALL[:3]]
    assert run(folder, wrong, "--pictures", str(tmp_path)) == 1
    said = capsys.readouterr().out
    assert "no (-2)" in said
    assert "no (+2)" in said
    assert "5 ghost" in said
    pictures = {path.name for path in tmp_path.iterdir()}
    assert {"street.png", "street-middle-a_to_b-missed-5.png", "street-middle-a_to_b-missed-9.png"} <= pictures
    assert sum("b_to_a-extra" in name for name in pictures) == 2


def test_given_crossings_nobody_is_sure_of_then_counting_them_is_no_error(folder: Path) -> None:
    unsure = [*ALL[:3], *({**one, "certain": False} for one in ALL[3:])]
    assert run(folder, unsure) == 0
    assert run(folder, [*ALL, crossing(70, "b_to_a", certain=False)]) == 0


def test_given_frames_that_are_used_then_nothing_outside_of_them_counts(folder: Path) -> None:
    assert run(folder, ALL[1:3] + ALL[4:], frames_used=[36, 79]) == 0


def test_given_a_clip_that_is_nowhere_then_it_is_said_and_so_is_a_file_that_is_no_truth(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, ALL, file="away.avi") != 0
    said = capsys.readouterr().err
    assert "away.avi is in none of the folders" in said
    assert "no clip could be compared" in said
    (tmp_path / "bad.json").write_text('{"videos": [{}]}', encoding="utf-8")
    assert clips.main(["--truth", str(tmp_path / "bad.json")]) == 78
    assert "is no truth file" in capsys.readouterr().err
    assert clips.main(["--truth", str(tmp_path / "none.json")]) == 78


@pytest.mark.parametrize(("true", "counted", "within"), [(4, 3, True), (4, 2, False), (60, 57, True), (60, 56, False)])
def test_the_bound_is_one_vehicle_or_five_percent(true: int, counted: int, *, within: bool) -> None:
    one = clips.Verdict("c", ("l", "a_to_b"), true, true, counted, clips.Counter(), clips.Counter(), (), ())
    assert one.within is within
    assert replace(one, counted=2 * true - counted).within is within
