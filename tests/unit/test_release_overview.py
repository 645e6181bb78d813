"""What `kentongan release` tells: what is served, what waits, what comes next, and which rule can't be signed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
from pydantic import ValidationError

from agent.cli import main
from agent.release import offering
from agent.release.faults import ReleaseError
from agent.release.overview import next_step, overview
from agent.release.publishing import publish
from agent.release.refused import WANTED, refused
from agent.release.rotation import rotate_online
from agent.release.signing import sign
from agent.update.golden import GoldenFrame, write_golden
from agent.update.offer import ModelOffer, Rollout
from agent.update.patch import EXAMPLE
from tests.fakes import update_models as models
from tests.fakes.tuf_repository import CHEAP_SCRYPT, Maintainer

SERVED, STAGED = "on offer to the boxes", "staged, and seen by no box"


@pytest.fixture
def maintainer(tmp_path: Path) -> Maintainer:
    return Maintainer(tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "new.onnx"
    path.write_bytes(models.candidate("2"))
    return path


def told(maintainer: Maintainer) -> dict[str, str]:
    """The overview by its parts: what is served, what is staged."""
    served, _, rest = "\n".join(overview(maintainer.workspace)).partition(STAGED)
    return {"served": served.partition("root version")[0], "staged": rest.partition("root version")[0]}


def test_given_a_release_that_is_only_staged_then_nothing_is_said_to_be_on_offer(
    maintainer: Maintainer, model: Path
) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    said = told(maintainer)
    assert "on offer to the boxes: nothing yet" in said["served"]
    assert "street release 1: street 2, 100 %" in said["staged"]


def test_given_a_staged_change_of_a_release_then_what_is_served_is_shown_as_it_is(
    maintainer: Maintainer, model: Path
) -> None:
    offering.add_model(maintainer.workspace, model, slot="street", rollout=Rollout(percent=5, groups=("north",)))
    maintainer.sign_and_publish()
    assert STAGED not in "\n".join(overview(maintainer.workspace))
    offering.withdraw(maintainer.workspace, "street", 1, "blind in the rain")
    said = told(maintainer)
    assert "street release 1: street 2, 5 % of north" in said["served"]
    assert "street release 1: street 2, withdrawn" in said["staged"]


def test_given_a_release_that_is_served_unchanged_then_it_is_not_said_to_be_staged(
    maintainer: Maintainer, model: Path, tmp_path: Path
) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    maintainer.sign_and_publish()
    (tmp_path / "b.onnx").write_bytes(models.candidate("3"))
    offering.add_model(maintainer.workspace, tmp_path / "b.onnx", slot="street")
    said = told(maintainer)
    assert ("release 1" in said["staged"], "release 2" in said["staged"]) == (False, True)
    assert ("release 1" in said["served"], "release 2" in said["served"]) == (True, False)


def test_given_configurations_then_they_are_shown_too(maintainer: Maintainer, tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text("cameras: {gate: {detect_fps: 8}}")
    offering.add_configuration(maintainer.workspace, tmp_path / "gate.yaml", device="box-1")
    assert "configuration number 1: 100 % (configuration/device/box-1.yaml)" in told(maintainer)["staged"]
    maintainer.sign_and_publish()
    assert "configuration number 1: 100 % (configuration/device/box-1.yaml)" in told(maintainer)["served"]


def test_given_a_staged_rotation_then_the_keys_shown_are_those_in_force(maintainer: Maintainer) -> None:
    old = maintainer.workspace.root().get_delegated_role("timestamp").keyids[0]
    rotate_online(maintainer.workspace, "timestamp", "", scrypt_n=CHEAP_SCRYPT)
    (line,) = (line for line in overview(maintainer.workspace) if line.startswith("timestamp version"))
    assert old[:12] in line


def test_given_missing_signatures_then_the_next_command_is_whole(maintainer: Maintainer, model: Path) -> None:
    folder = maintainer.workspace.folder
    offering.add_model(maintainer.workspace, model, slot="street")
    *missing, command = next_step(maintainer.workspace)
    assert "targets version 2: 2 signature(s) missing" in missing[0]
    assert f"kentongan release sign {folder} --key FILE" in command
    assert "targets-1.key" in command
    assert command == list(overview(maintainer.workspace))[-1]
    with pytest.raises(ReleaseError, match="--key FILE"):
        publish(maintainer.workspace)
    sign(maintainer.workspace, maintainer.signers())
    assert list(next_step(maintainer.workspace)) == [f"next: kentongan release publish {folder}"]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"percent": 500}, "--percent can't be 500; write a whole number from 0 to 100"),
        ({"groups": ["North!"]}, "--groups can't be North!; write names of lower-case letters"),
        ({"hardware": ["Jetson"]}, "--hardware can't be Jetson; write names"),
        ({"min_agent": "-1"}, "--min-agent can't be -1; write a version such as 0.4.1"),
        ({"max_agent": ""}, "--max-agent can't be empty; write a version"),
        ({"hold": {"failed_percent": 100}}, "--hold-percent can't be 100; write a whole number from 1 to 99"),
        ({"hold": {"min_failed": 0}}, "--hold-least can't be 0; write a whole number from 1"),
    ],
)
def test_given_rules_that_can_not_be_signed_then_one_sentence_names_the_option(
    maintainer: Maintainer, model: Path, rules: dict[str, Any], told: str
) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    for refuse in (
        lambda: offering.rollout_of(rules),
        lambda: offering.change_rollout(maintainer.workspace, "street", 1, **rules),
    ):
        with pytest.raises(ReleaseError) as error:
            refuse()
        assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"slot": "Straße"}, "--slot can't be Straße; write the model's name"),
        ({"max_slowdown_percent": 50}, "--max-slowdown-percent can't be 50; write a whole number from 100"),
        ({"why": "w" * 501}, f"--why can't be {'w' * 60}; write at most 500"),
    ],
)
def test_given_an_offer_that_can_not_be_signed_then_one_sentence_names_the_option(
    maintainer: Maintainer, model: Path, fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(ReleaseError) as error:
        offering.add_model(maintainer.workspace, model, **{"slot": "street", **fields})
    assert str(error.value).startswith(told)


def test_given_a_withdrawal_with_too_long_a_reason_then_it_is_refused_before_it_is_staged(
    maintainer: Maintainer, model: Path
) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    with pytest.raises(ReleaseError, match="--why can't be"):
        offering.withdraw(maintainer.workspace, "street", 1, "w" * 501)
    assert not offering.model_offers(maintainer.workspace)[next(iter(offering.model_offers(maintainer.workspace)))].why


def test_given_the_words_for_options_then_each_is_of_a_field_that_is_signed() -> None:
    offer = ModelOffer.model_json_schema()
    fields = {*offer["properties"], *offer["$defs"]["Rollout"]["properties"]}
    fields |= {f"hold.{name}" for name in offer["$defs"]["Hold"]["properties"]}
    assert set(WANTED) <= fields


def test_given_a_field_without_words_of_its_own_then_it_is_still_named() -> None:
    with pytest.raises(ValidationError) as error:
        Rollout.model_validate({"moon": "full"})
    assert str(refused(error.value)) == "moon can't be full; write what `kentongan release add --help` shows"


def test_given_one_part_of_a_hold_then_the_other_stays(maintainer: Maintainer, model: Path) -> None:
    offering.add_model(
        maintainer.workspace, model, slot="street", rollout=offering.rollout_of({"hold": {"min_failed": 7}})
    )
    changed = offering.change_rollout(maintainer.workspace, "street", 1, hold={"failed_percent": 3})
    assert (changed.rollout.hold.failed_percent, changed.rollout.hold.min_failed) == (3, 7)


def test_given_no_golden_frames_then_it_is_said_in_one_line_what_is_not_checked_and_how_far_it_goes(
    maintainer: Maintainer, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add = ["release", "add", str(maintainer.workspace.folder), str(model), "--slot", "street"]
    assert main(add) == 0
    (note,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("note:"))
    assert "without golden frames" in note
    assert "100 % of the boxes" in note
    (tmp_path / "golden").write_bytes(write_golden([GoldenFrame(models.BRIGHT, models.Street(3).detections())]))
    assert main([*add, "--golden", str(tmp_path / "golden")]) == 0
    assert "note:" not in capsys.readouterr().out


def test_given_the_help_of_add_then_the_form_of_a_configuration_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["release", "add", "--help"])
    assert EXAMPLE in capsys.readouterr().out


def test_given_files_that_are_not_there_then_it_is_one_sentence(
    maintainer: Maintainer, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(maintainer.workspace.folder)
    assert main(["release", "add", folder, str(tmp_path / "gone.yaml"), "--device", "box-1"]) == 65
    assert "gone.yaml can't be read: No such file or directory; check its name" in capsys.readouterr().err
    cv2.imwrite(str(tmp_path / "a.png"), models.BRIGHT)
    out = str(model / "golden")
    assert main(["release", "golden", folder, str(model), str(tmp_path / "a.png"), "--out", out]) == 65
    assert "golden can't be written: File exists; name another --out" in capsys.readouterr().err
