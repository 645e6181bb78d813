"""Labelled pictures in every layout, and lists of what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.evaluate.dataset import DatasetError, open_dataset
from tests.fakes.clips import number_of, render_clip

GOOD = "3 0.5 0.5 0.2 0.4\n\n2 0.25 0.25 0.1 0.1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("images", "labels"):
        (tmp_path / kind / "val").mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"images/val/{number}.png"), np.full((40, 80, 3), 50 * number, np.uint8))
        (tmp_path / f"labels/val/{number}.txt").write_text(GOOD if number else "", encoding="utf-8")
    (tmp_path / "images/val/notes.md").write_text("not a picture", encoding="utf-8")
    return tmp_path


def rows(folder: Path, *plain: object, name: str = "labels.jsonl") -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in plain]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def test_a_folder_of_pictures_is_read_again_and_again_with_boxes_relative_to_the_picture(folder: Path) -> None:
    dataset = open_dataset(folder)
    assert len(dataset) == 3
    for _ in range(2):
        read = list(dataset)
        assert [name for name, _, _ in read] == ["0.png", "1.png", "2.png"]
        assert [int(image[0, 0, 0]) for _, image, _ in read] == [0, 50, 100]
        assert len(read[0][2].classes) == 0
        assert read[1][2].classes.tolist() == [3, 2]
        assert read[1][2].boxes[0].tolist() == pytest.approx([0.4, 0.3, 0.6, 0.7])


def test_frames_of_videos_are_read_by_their_numbers_and_splits(tmp_path: Path) -> None:
    render_clip(tmp_path / "a.avi", frames=12)
    box = [3, 0.5, 0.5, 0.2, 0.2]
    rows(
        tmp_path,
        {"video": "a.avi", "frame": 7, "split": "val", "boxes": [box]},
        {"video": "a.avi", "frame": 2, "split": "val", "boxes": []},
        {"video": "a.avi", "frame": 4, "split": "train", "boxes": [box, box]},
    )
    read = list(open_dataset(tmp_path))
    assert [(name, number_of(image)) for name, image, _ in read] == [("a-0002", 2), ("a-0007", 7)]
    assert [len(truth.classes) for _, _, truth in read] == [0, 1]
    assert [len(truth.classes) for _, _, truth in open_dataset(tmp_path, split="train")] == [2]


def test_a_list_without_video_names_belongs_to_the_video_that_is_given(tmp_path: Path) -> None:
    video = render_clip(tmp_path / "b.avi", frames=5)
    listed = rows(tmp_path, {"frame": 3, "boxes": [[0, 0.5, 0.5, 0.1, 0.3]]}, name="boxes.jsonl")
    dataset = open_dataset(listed, video=video)
    assert dataset.name == "boxes"
    assert [number_of(image) for _, image, _ in dataset] == [3]
    with pytest.raises(DatasetError, match=r"boxes\.jsonl:1: no row of frame, boxes and video"):
        open_dataset(listed)
    listed.write_text("[" * 100_000)
    with pytest.raises(DatasetError, match=r"boxes\.jsonl:1: no row of frame, boxes and video \(RecursionError"):
        open_dataset(listed, video=video)


def test_every_fault_of_a_folder_is_listed_with_its_file_and_line(folder: Path) -> None:
    (folder / "labels/val/0.txt").unlink()
    bad = "3 0.5 0.5 0.2 0.4\n9 0.5 0.5 0.2 0.4\n2.5 0.5 0.5 0.2 0.4\n3 0.5 0.5\n3 0.5 0.5 nan 0.4\n3 1.5 0.5 0.2 0.4\n"
    (folder / "labels/val/1.txt").write_text(bad + "car 0.5 0.5 0.2 0.4\n", encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        open_dataset(folder)
    message = str(caught.value)
    assert message.startswith("7 faults")
    assert "0.txt: missing for 0.png" in message
    for line in (2, 3, 4, 7):
        assert f"1.txt:{line}: not a class from 0 to 6 and four numbers" in message
    for line in (5, 6):
        assert f"1.txt:{line}: lies outside the picture" in message
    assert "1.txt:1:" not in message
    assert caught.value.exit_code == 65


def test_every_fault_of_a_list_is_listed_with_its_line(tmp_path: Path) -> None:
    render_clip(tmp_path / "a.avi", frames=3)
    rows(
        tmp_path,
        {"video": "a.avi", "frame": 0, "boxes": [[3, 0.5, 0.5, 0.2, 0.2], [3, 0.5], 7]},
        "{not json",
        "[1, 2]",
        {"video": "a.avi", "frame": "first", "boxes": []},
        {"video": "a.avi", "frame": 1, "boxes": 5},
        {"video": "c.avi", "frame": 1, "boxes": []},
        {"video": "a.avi", "frame": 0, "boxes": []},
    )
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)
    message = str(caught.value)
    assert "labels.jsonl:1: box 2: not a class" in message
    assert "labels.jsonl:1: box 3: not a class" in message
    for line in (2, 3, 4, 5):
        assert f"labels.jsonl:{line}: no row" in message
    assert "labels.jsonl:6: there is no video" in message
    assert "labels.jsonl:7: frame 0 of a.avi was already labelled" in message
    assert message.startswith("8 faults")


def test_a_hundred_faults_are_counted_but_not_all_told(folder: Path) -> None:
    (folder / "labels/val/1.txt").write_text("bad\n" * 100, encoding="utf-8")
    with pytest.raises(DatasetError, match="100 faults") as caught:
        open_dataset(folder)
    assert "and 60 more" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 42


def test_what_holds_no_labels_is_refused_with_what_would(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no labelled data"):
        open_dataset(tmp_path / "nothing")
    with pytest.raises(DatasetError, match="images/test/"):
        open_dataset(folder, split="test")
    rows(tmp_path, {"video": "a.avi", "frame": 0, "split": "train", "boxes": []}, name="only.jsonl")
    with pytest.raises(DatasetError, match="no pictures in this split"):
        open_dataset(tmp_path / "only.jsonl")
    (folder / "labels/val/1.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="can't be read as text"):
        open_dataset(folder)


def test_pictures_and_videos_that_break_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "images/val/1.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"1\.png does not decode"):
        list(open_dataset(folder))
    render_clip(tmp_path / "a.avi", frames=3)
    rows(tmp_path, {"video": "a.avi", "frame": 9, "boxes": []}, name="long.jsonl")
    with pytest.raises(DatasetError, match="ends at frame 3, but its labels go on to 9"):
        list(open_dataset(tmp_path / "long.jsonl"))
