"""What a replay writes is held against the disk before the work: an hour of counting must not end at a wrong name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.cli import main
from agent.errors import OutputError
from agent.ops.replay_outputs import require_plot, require_writable


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-o", "nowhere/r.jsonl"), "r.jsonl can't be written: No such file or directory; choose a folder"),
        (("--plot", "nowhere/plot.png"), "plot.png can't be written: No such file or directory; choose a folder"),
        (("--plot", "plot.docx"), "plot.docx can't be written as a plot; choose a name that ends in .png"),
        (("-o", "."), "can't be written: Is a directory"),
    ],
)
def test_given_a_name_that_can_not_be_written_then_that_is_said_before_the_video_is_even_opened(
    tmp_path: Path, words: tuple[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    option, name = words
    assert main(["replay", str(tmp_path / "no-video.avi"), option, str(tmp_path / name)]) == 73
    assert told in capsys.readouterr().err


def test_given_names_that_can_be_written_then_the_check_leaves_no_file_and_harms_none(tmp_path: Path) -> None:
    (tmp_path / "kept.jsonl").write_text("as it was", encoding="utf-8")
    require_writable(tmp_path / "kept.jsonl")
    require_writable(tmp_path / "new.jsonl")
    require_plot(tmp_path / "plot.png")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.jsonl"]
    assert (tmp_path / "kept.jsonl").read_text(encoding="utf-8") == "as it was"


def test_given_a_pipe_then_it_is_left_to_who_reads_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    require_writable(tmp_path / "pipe")
    with pytest.raises(OutputError, match="Is a directory"):
        require_writable(tmp_path)


def test_given_a_link_to_a_file_that_is_not_there_yet_then_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "later.jsonl")
    require_writable(tmp_path / "link.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["link.jsonl"]
