"""`kentongan replay` on real files: exact, repeatable, and clear about what is wrong with them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import pytest

from agent.mqtt.topics import record_topic
from agent.ops.assets import _INSTALLED, _is_vtest
from agent.ops.rendered import RenderedScene, render_clip
from tests.fakes.bright_street import FPS, write_bright_clip, write_bright_model
from tests.fakes.clips import truncate
from tests.fakes.command import Done, assert_one_sentence, command
from tests.fakes.schema import assert_valid

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"
MIDDLE = "middle=0.5,0.98,0.5,0.02"
FRAMES = 80


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replay")
    write_bright_model(folder / "bright.onnx")
    write_bright_clip(folder / "street.avi", FRAMES / FPS)
    return folder


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RenderedScene]:
    path = tmp_path_factory.mktemp("rendered") / "street.avi"
    return path, render_clip(path, cars=4)


def replay(folder: Path, *words: object, video: str = "street.avi") -> Done:
    return command("replay", folder / video, "--model", folder / "bright.onnx", "--line", MIDDLE, *words)


def messages_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def volumes(messages: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    total: Counter[tuple[str, str]] = Counter()
    for message in messages:
        if "volume" in message:
            total[message["line"], message["direction"]] += message["volume"]
    return total


def test_a_replay_counts_every_crossing_once_and_writes_valid_messages(folder: Path, tmp_path: Path) -> None:
    done = replay(folder, "-o", tmp_path / "records.jsonl")
    assert done.code == 0, done.err
    messages = messages_of(tmp_path / "records.jsonl")
    assert volumes(messages) == {("middle", "a_to_b"): 3, ("middle", "b_to_a"): 2}
    assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
    for message in messages:
        topic = record_topic(message["device"], message["camera"], "count")
        assert_valid(topic, json.dumps(message).encode())
    assert "middle" in done.out
    assert "a_to_b" in done.out


def test_a_line_that_nobody_crosses_is_told_with_who_was_seen(folder: Path) -> None:
    done = replay(folder, "--line", "beside=0.5,0.72,0.5,0.62")
    assert (
        "line beside counted nothing, though 5 road users were seen: some passed beyond its ends (5 times" in done.said
    )
    assert "line middle counted nothing" not in done.said


def test_the_same_file_gives_the_same_records_byte_for_byte_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    replay(folder, "-o", tmp_path / "first.jsonl")
    shutil.copy(folder / "bright.onnx", tmp_path / "bright.onnx")
    shutil.copy(folder / "street.avi", tmp_path / "copy.avi")
    replay(tmp_path, "-o", tmp_path / "second.jsonl", video="copy.avi")
    first = (tmp_path / "first.jsonl").read_bytes()
    assert first
    assert first == (tmp_path / "second.jsonl").read_bytes()
    replay(folder, "-o", tmp_path / "later.jsonl", "--start", "2026-02-03T04:05:00Z")
    later = messages_of(tmp_path / "later.jsonl")
    assert later[0]["interval"]["start"] == "2026-02-03T04:05:00.000Z"
    assert later[0]["id"] != messages_of(tmp_path / "first.jsonl")[0]["id"]


def test_given_intervals_of_a_minute_then_one_record_a_direction_holds_the_whole_clip(
    folder: Path, tmp_path: Path
) -> None:
    assert replay(folder, "-o", tmp_path / "r.jsonl", "--interval", 60).code == 0
    assert len(messages_of(tmp_path / "r.jsonl")) == 2


def test_the_annotated_video_has_every_frame_and_shows_the_counts(folder: Path, tmp_path: Path) -> None:
    assert replay(folder, "--video", tmp_path / "seen.MP4").code == 0
    plain, seen = cv2.VideoCapture(str(folder / "street.avi")), cv2.VideoCapture(str(tmp_path / "seen.MP4"))
    pictures = 0
    while True:
        ok, picture = seen.read()
        _, before = plain.read()
        if not ok:
            break
        pictures += 1
        assert cv2.absdiff(picture, before).max() > 60, "nothing was drawn"
    assert pictures == FRAMES
    assert seen.get(cv2.CAP_PROP_FPS) == pytest.approx(FPS)


def test_the_plot_shows_the_street_and_the_counts(folder: Path, tmp_path: Path) -> None:
    assert replay(folder, "--plot", tmp_path / "plot.png").code == 0
    plot = cv2.imread(str(tmp_path / "plot.png"))
    assert plot is not None
    width = plot.shape[1]
    assert width > 1000
    road, graph = plot[:, : width // 2], plot[:, width // 2 :]
    assert (abs(road.astype(int) - 60).max(axis=2) < 4).sum() > 20_000, "the picture of the street is missing"
    assert (graph.max(axis=2) - graph.min(axis=2) > 80).sum() > 300, "no coloured steps were drawn"


def test_a_configuration_gives_camera_line_names_and_directions(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "box.yaml").write_text(
        f"""
device: pole-17
mqtt: {{host: localhost, port: 1883, plaintext: true}}
models: {{bright: {{file: {folder}/bright.onnx}}}}
cameras:
  - {{name: yard, source: "rtsp://10.0.0.9/"}}
  - name: gate
    source: rtsp://10.0.0.8/
    model: bright
    lines: [{{name: kerb, points: [[0.5, 0.98], [0.5, 0.02]], a_to_b: "to [Klaten]", interval_s: 10}}]
    zones: [{{name: lane, polygon: [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98]], interval_s: 10}}]
""",
        encoding="utf-8",
    )
    words = ("replay", folder / "street.avi", "--config", tmp_path / "box.yaml", "-o", tmp_path / "r.jsonl")
    done = command(*words, "--camera", "gate")
    assert done.code == 0, done.err
    assert "(to [Klaten])" in done.out
    messages = messages_of(tmp_path / "r.jsonl")
    assert volumes(messages) == {("kerb", "a_to_b"): 3, ("kerb", "b_to_a"): 2}
    assert {message["camera"] for message in messages} == {"gate"}
    assert any("zone" in message for message in messages)
    assert command(*words, "--camera", "gate", "--line", MIDDLE).code == 0
    assert volumes(messages_of(tmp_path / "r.jsonl")).keys() == {("middle", "a_to_b"), ("middle", "b_to_a")}
    assert_one_sentence(command(*words, "--camera", "attic"), 78, "no camera 'attic'", "yard, gate")


def test_what_was_counted_before_a_file_breaks_off_is_written_and_the_exit_code_says_it(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "street.avi", tmp_path / "short.avi")
    truncate(tmp_path / "short.avi", 0.62)
    shutil.copy(folder / "bright.onnx", tmp_path)
    done = replay(
        tmp_path, "-o", tmp_path / "r.jsonl", "--plot", tmp_path / "plot.png", "--video", tmp_path / "v.avi",
        video="short.avi",
    )  # fmt: skip
    assert_one_sentence(done, 66, "short.avi breaks off", "what was read counts")
    counted = volumes(messages_of(tmp_path / "r.jsonl"))
    assert 1 <= counted.total() < 5
    assert "middle" in done.out
    assert (tmp_path / "plot.png").stat().st_size > 5000
    assert cv2.VideoCapture(str(tmp_path / "v.avi")).get(cv2.CAP_PROP_FRAME_COUNT) > 25


def test_a_model_that_gives_nonsense_in_the_middle_ends_the_replay_and_keeps_what_was_counted(tmp_path: Path) -> None:
    write_bright_model(tmp_path / "bright.onnx", fails_on_black=True)
    clip = cv2.VideoCapture(str(write_bright_clip(tmp_path / "whole.avi")))
    writer = cv2.VideoWriter(str(tmp_path / "street.avi"), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (320, 192))
    for number in range(FRAMES):
        picture = clip.read()[1]
        writer.write(picture if number < 45 else picture * 0)
    writer.release()
    done = replay(tmp_path, "-o", tmp_path / "r.jsonl")
    assert_one_sentence(done, 65, "no numbers")
    assert volumes(messages_of(tmp_path / "r.jsonl"))["middle", "a_to_b"] >= 1


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--line", "gate=0.1,0.2,0.3"), 78, "write NAME=X1,Y1,X2,Y2"),
        (("--line", "gate=0.1,0.2,0.3,many"), 78, "write NAME=X1,Y1,X2,Y2"),
        (("--line", "gate=0.1,0.2,1.3,0.4"), 78, "each number from 0 to 1"),
        (("--line", "gate=0.1,0.2,nan,0.4"), 78, "each number from 0 to 1"),
        (("--line", "gate=0.1,0.2,0.1,0.2"), 78, "two points"),
        (("--line", "The Gate=0.1,0.2,0.3,0.4"), 78, "name"),
        (("--start", "yesterday"), 78, "write it like 2026-01-01T00:00:00Z"),
        (("--start", "2026-01-01T00:00:00"), 78, "names no zone"),
        (("--video", "seen.gif"), 73, "let its name end in .mp4"),
        (("--video", "/nowhere/seen.mp4"), 73, "folder does not exist"),
        (("--records", "/nowhere/r.jsonl"), 73, "/nowhere/r.jsonl can't be written"),
        (("--plot", "/nowhere/plot.png"), 73, "/nowhere/plot.png can't be written"),
        (("--config", "/nowhere/box.yaml"), 78, "/nowhere/box.yaml"),
        (("--labels", "cat"), 65, "the file describes itself"),
    ],
)
def test_words_that_make_no_sense_get_one_sentence(folder: Path, words: tuple[str, ...], code: int, part: str) -> None:
    assert_one_sentence(replay(folder, *words), code, part)


def test_a_missing_file_and_one_that_is_no_video_get_one_sentence(folder: Path, tmp_path: Path) -> None:
    assert_one_sentence(replay(folder, video="nothing.mp4"), 66, "nothing.mp4")
    (folder / "note.mp4").write_text("this is no video", encoding="utf-8")
    assert_one_sentence(replay(folder, video="note.mp4"), 66, "note.mp4")
    (folder / "empty.avi").write_bytes(b"")
    assert_one_sentence(replay(folder, video="empty.avi"), 66, "empty.avi")
    (folder / "no-model.onnx").write_bytes(b"no model")
    done = command("replay", folder / "street.avi", "--model", folder / "no-model.onnx")
    assert_one_sentence(done, 65, "no-model.onnx")


def test_the_default_model_counts_the_cars_of_the_rendered_street(
    rendered: tuple[Path, RenderedScene], tmp_path: Path
) -> None:
    path, scene = rendered
    x1, y1, x2, y2 = (number for point in scene.lines[0]["points"] for number in point)  # type: ignore[attr-defined]
    done = command("replay", path, "--line", f"street={x1},{y1},{x2},{y2}", "-o", tmp_path / "r.jsonl")
    assert done.code == 0, done.err
    messages = messages_of(tmp_path / "r.jsonl")
    assert volumes(messages) == {("street", "a_to_b"): scene.a_to_b, ("street", "b_to_a"): scene.b_to_a}
    assert sum(message["by_class"]["car"] for message in messages) == scene.a_to_b + scene.b_to_a


def _vtest() -> Path | None:
    places = (Path.home() / ".cache" / "kentongan" / "vtest.avi", _INSTALLED)
    return next((path for path in places if _is_vtest(path)), None)


def counted_and_true(video: Path, folder: Path) -> tuple[Counter[tuple[str, str]], dict[tuple[str, str], int]]:
    """What the default model counts on the lines of a real clip, and what people counted there."""
    truth = json.loads((SHARED / "counts.json").read_text(encoding="utf-8"))
    lines = next(one for one in truth["videos"] if one["file"].endswith(video.name))["lines"]
    true = {
        (line["id"], direction): number
        for line in lines
        for by_direction in line["totals"]["certain"].values()
        for direction, number in by_direction.items()
    }
    words = [f"--line={line['id']}={','.join(str(n) for n in (*line['p1'], *line['p2']))}" for line in lines]
    done = command("replay", video, *words, "-o", folder / "r.jsonl")
    assert done.code == 0, done.err
    return volumes(messages_of(folder / "r.jsonl")), true


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "overpass-3-lanes.mp4").is_file(), reason="needs ../shared/data/video")
def test_the_default_model_counts_a_real_overpass_within_one_car_or_a_twentieth(tmp_path: Path) -> None:
    counted, true = counted_and_true(SHARED / "overpass-3-lanes.mp4", tmp_path)
    for place, number in true.items():
        assert counted[place] == pytest.approx(number, abs=max(1, number / 20)), (place, counted)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "counts.json").is_file(), reason="needs ../shared/data/video")
@pytest.mark.skipif(_vtest() is None, reason="vtest.avi is not in this machine's cache; run kentongan demo once")
def test_the_default_model_counts_real_pedestrians_within_one_or_a_twentieth(tmp_path: Path) -> None:
    video = _vtest()
    assert video is not None
    counted, true = counted_and_true(video, tmp_path)
    assert sum(true.values()) == 26
    for place, number in true.items():
        assert counted[place] == pytest.approx(number, abs=max(1, number / 20)), (place, counted)
