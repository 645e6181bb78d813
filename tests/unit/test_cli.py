"""The command line itself: help, words that make no command, and how faults leave it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli import COMMANDS
from agent.logs import JournalFormatter, set_up_logging
from agent.version import VERSION
from tests.fakes.command import command

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", [one.name for one in COMMANDS])
def test_every_command_explains_itself(name: str) -> None:
    done = command(name, "--help")
    assert done.code == 0, done.err
    assert done.out.startswith(f"usage: kentongan {name}")
    assert len(done.out.splitlines()) > 5


def test_help_names_every_command_and_loads_none_of_them() -> None:
    code = "import sys; from agent.cli import main\ntry: main(['--help'])\nfinally: print('cv2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert all(one.name in done.stdout and one.summary.split()[0] in done.stdout for one in COMMANDS)
    assert done.stdout.endswith("False\n")


@pytest.mark.parametrize("words", [(), ("dance",), ("replay",), ("run", "a.yaml", "b.yaml"), ("models", "paint")])
def test_words_that_make_no_command_are_told_with_the_usage(words: tuple[str, ...]) -> None:
    done = command(*words)
    assert done.code == 2
    assert "usage: kentongan" in done.err


def test_the_version_is_told() -> None:
    assert command("--version").out == f"kentongan {VERSION}\n"
    assert VERSION[0].isdigit()


def test_a_fault_is_one_sentence_without_traceback_or_password() -> None:
    done = command("check", "/nowhere/box.yaml")
    assert done.code == 78
    assert done.err.startswith("kentongan: ")
    assert "Traceback" not in done.err
    address = "rtsp://viewer:sesame@10.0.0.1:port/"
    for words in (("replay", address), ("demo", "--source", address, "--seconds", "1")):
        done = command(*words)
        assert done.code in {2, 66}
        assert "sesame" not in done.said


def test_as_a_process_it_ends_with_the_same_code_and_survives_a_reader_that_leaves(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "agent"]
    done = subprocess.run(
        [*words, "replay", "/nowhere/a.avi"], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 66
    assert done.stderr.startswith("kentongan: ")
    assert len(done.stderr.splitlines()) == 1
    read_end, write_end = os.pipe()
    os.close(read_end)
    left = subprocess.run(
        [*words, "schema", str(tmp_path)],
        cwd=REPOSITORY,
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(write_end)
    assert (left.returncode, left.stderr) == (0, "")


def test_under_journald_lines_carry_their_priority_and_never_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    kept, level, stream = root.handlers[:], root.level, os.environ.get("JOURNAL_STREAM")
    try:
        os.environ["JOURNAL_STREAM"] = "8:1"
        set_up_logging(0)
        logging.getLogger("kentongan.test").error("can't open %s", "rtsp://viewer:sesame@10.0.0.1/")
        logging.getLogger("kentongan.test").info("not shown without -v")
        os.environ.pop("JOURNAL_STREAM")
        set_up_logging(1)
        logging.getLogger("kentongan.test").info("password=%s", "sesame")
    finally:
        os.environ.pop("JOURNAL_STREAM", None)
        if stream is not None:
            os.environ["JOURNAL_STREAM"] = stream
        root.handlers[:] = kept
        root.setLevel(level)
    journal, terminal = capsys.readouterr().err.splitlines()
    assert journal == "<3>kentongan.test: can't open rtsp://***@10.0.0.1/"
    assert terminal.endswith("INFO    kentongan.test: password=***")
    strange = logging.LogRecord("a.b", 25, "", 0, "between the levels", None, None)
    assert JournalFormatter("%(message)s").format(strange) == "<6>a.b: between the levels"
