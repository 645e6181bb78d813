"""Candidates in a real process of their own, with real ONNX files: the good one passes, each bad one is named."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.release.desk import make_golden
from agent.release.faults import ReleaseError
from agent.update.child import ChildEyes, ChildLimits
from agent.update.eyes import Eyes, Subject
from agent.update.golden import read_golden
from agent.update.refusal import Kind, UpdateError
from agent.update.trial import Terms, Trial
from tests.fakes import update_models as models

LIMITS = ChildLimits(memory_bytes=1_500_000_000, load_s=60, look_s=20, threads=1, providers=("cpu",))
GENEROUS = Terms(budget_s=5.0, max_slowdown_percent=300)


def subject(folder: Path, data: bytes) -> Subject:
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / sha256
    path.write_bytes(data)
    return Subject(path, sha256)


def open_child(wanted: Subject) -> Eyes:
    return ChildEyes(wanted, LIMITS)


def run_trial(folder: Path, data: bytes, terms: Terms = GENEROUS) -> Kind | None:
    """How a candidate fails its trial against a good model in charge; ``None`` if it passes."""
    good = subject(folder, models.candidate("1"))
    golden = read_golden(make_golden(good.path, [models.BRIGHT]), "golden")
    try:
        Trial(open_child).run(subject(folder, data), good, golden, terms)
    except UpdateError as error:
        return error.kind
    return None


def test_good_model_passes_its_trial(tmp_path: Path) -> None:
    assert run_trial(tmp_path, models.candidate("2")) is None


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (models.blind, "golden_mismatch"),
        (models.sees_everything, "golden_mismatch"),
        (models.not_a_number, "not_finite"),
        (models.memory_hog, "out_of_memory"),
        (models.failing, "bad_model"),
        (models.another_family, "bad_model"),
        (models.unknown_family, "bad_model"),
        (models.slow, "too_slow"),
    ],
)
def test_bad_model_fails_its_trial_by_name(tmp_path: Path, make: Callable[[str], bytes], kind: Kind) -> None:
    assert run_trial(tmp_path, make("2")) == kind


def test_model_beyond_the_budget_fails_its_trial(tmp_path: Path) -> None:
    """It is allowed any slowdown, so the cameras' budget alone refuses it."""
    assert run_trial(tmp_path, models.slow("2"), Terms(1e-7, 1_000_000)) == "too_slow"


def test_bytes_that_are_not_the_verified_ones_are_not_loaded(tmp_path: Path) -> None:
    good = subject(tmp_path, models.candidate("1"))
    good.path.write_bytes(models.candidate("2"))
    with pytest.raises(UpdateError) as caught:
        open_child(good)
    assert caught.value.kind == "arbitrary_installation"


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("import os; os.abort()", "crashed"),
        ("import sys; sys.exit(3)", "crashed"),
        ("import time; time.sleep(60)", "timed_out"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "out_of_memory"),
        ("data = b'x' * 300_000_000\nimport time; time.sleep(60)", "out_of_memory"),
    ],
)
def test_process_that_ends_hangs_or_swells_is_named(tmp_path: Path, program: str, kind: Kind) -> None:
    limits = ChildLimits(memory_bytes=200_000_000, load_s=3, look_s=1)
    with pytest.raises(UpdateError) as caught:
        ChildEyes(subject(tmp_path, b"any"), limits, (sys.executable, "-c", program))
    assert caught.value.kind == kind


def test_process_that_dies_between_two_pictures_is_named(tmp_path: Path) -> None:
    program = "import sys; sys.stdin.buffer.readline(); print('{}', flush=True)"
    eyes = ChildEyes(subject(tmp_path, b"any"), LIMITS, (sys.executable, "-c", program))
    with pytest.raises(UpdateError) as caught:
        eyes.look(models.BRIGHT)
    eyes.close()
    assert caught.value.kind == "crashed"


def test_golden_frames_of_a_blind_model_are_refused_at_the_desk(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="sees nothing"):
        make_golden(subject(tmp_path, models.blind("1")).path, [models.BRIGHT])
