"""The maintainer's steps: keys, staging, signing, publishing, rotating; every short cut is refused with a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.release import offering
from agent.release.desk import make_golden, read_pictures
from agent.release.faults import ReleaseError
from agent.release.fleet import Fleet
from agent.release.founding import Quorum, Quorums, found
from agent.release.keys import create_key, read_key, unlock
from agent.release.publishing import publish
from agent.release.rotation import rotate, rotate_online
from agent.release.signing import sign, standings
from agent.release.workspace import Workspace
from agent.update.golden import GoldenFrame, read_golden, write_golden
from agent.update.offer import Rollout
from agent.update.refusal import UpdateError
from tests.fakes import update_models as models
from tests.fakes.tuf_repository import CHEAP_SCRYPT, PASSPHRASE, Maintainer


@pytest.fixture
def maintainer(tmp_path: Path) -> Maintainer:
    return Maintainer(tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "new.onnx"
    path.write_bytes(models.candidate("2"))
    return path


def test_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    file = create_key(tmp_path / "a.key", "root-1", "long enough", scrypt_n=CHEAP_SCRYPT)
    signer = unlock(file.path, "long enough")
    assert signer.public_key.keyid == read_key(file.path).key.keyid
    with pytest.raises(ReleaseError, match="does not open"):
        unlock(file.path, "wrong")


def test_key_file_is_nobody_elses_to_read_and_shows_no_secret(tmp_path: Path) -> None:
    file = create_key(tmp_path / "a.key", "root-1", "long enough", scrypt_n=CHEAP_SCRYPT)
    assert file.path.stat().st_mode & 0o077 == 0
    assert "long enough" not in file.path.read_text()


def test_key_is_never_written_over_another(tmp_path: Path) -> None:
    create_key(tmp_path / "a.key", "a", "", scrypt_n=CHEAP_SCRYPT)
    with pytest.raises(ReleaseError, match="already holds a key"):
        create_key(tmp_path / "a.key", "a", "", scrypt_n=CHEAP_SCRYPT)


def broken_key(tmp_path: Path, change: Callable[[dict[str, object]], object]) -> Path:
    file = create_key(tmp_path / "a.key", "a", "", scrypt_n=CHEAP_SCRYPT)
    content = json.loads(file.path.read_text())
    change(content)
    file.path.write_text(json.dumps(content))
    return file.path


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.clear(),
        lambda content: content.pop("public"),
        lambda content: content.pop("sealed"),
        lambda content: content.update(scrypt={"n": 2**40, "salt": "00"}),
        lambda content: content.update(nonce="zz"),
    ],
)
def test_key_file_that_is_none_is_called_so(tmp_path: Path, change: Callable[[dict[str, object]], object]) -> None:
    with pytest.raises(ReleaseError, match="no key file"):
        unlock(broken_key(tmp_path, change), "")


def test_key_that_is_not_there_asks_for_the_stick(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is the stick in"):
        read_key(tmp_path / "gone.key")


def test_text_that_is_no_key_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "a.key").write_text("hello")
    with pytest.raises(ReleaseError, match="no key file"):
        read_key(tmp_path / "a.key")


def test_folder_in_use_is_not_founded_again(maintainer: Maintainer) -> None:
    with pytest.raises(ReleaseError, match="already is a release folder"):
        found(maintainer.workspace, [maintainer.sticks], lambda _name: "")


def test_folder_that_is_none_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="release init"):
        Workspace(tmp_path).latest("targets")
    with pytest.raises(ReleaseError, match="release init"):
        assert Workspace(tmp_path).expiry


@pytest.mark.parametrize(("keys", "threshold"), [(1, 2), (3, 0)])
def test_quorum_that_can_not_be_is_refused(keys: int, threshold: int) -> None:
    with pytest.raises(ReleaseError, match="can't be"):
        Quorum(keys, threshold)


def test_model_is_published_only_with_enough_signatures(maintainer: Maintainer, model: Path) -> None:
    workspace = maintainer.workspace
    offering.add_model(workspace, model, slot="street")
    with pytest.raises(ReleaseError, match="lacks 2 signature"):
        publish(workspace)
    assert sign(workspace, [maintainer.signer("targets-1")])
    assert standings(workspace)[0].missing == 1
    with pytest.raises(ReleaseError, match="lacks 1 signature"):
        publish(workspace)
    sign(workspace, [maintainer.signer("targets-2")])
    assert "2.targets.json" in publish(workspace)
    assert workspace.staged() == []


def test_key_of_another_role_signs_nothing(maintainer: Maintainer, model: Path) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    assert sign(maintainer.workspace, [maintainer.signer("configuration-1"), maintainer.signer("root-1")]) == []


def test_change_after_a_signature_voids_it(maintainer: Maintainer, model: Path) -> None:
    workspace = maintainer.workspace
    offering.add_model(workspace, model, slot="street")
    sign(workspace, maintainer.signers())
    offering.change_rollout(workspace, "street", 1, percent=50)
    assert standings(workspace)[0].missing == 2


def test_file_that_changes_after_it_was_added_is_not_published(maintainer: Maintainer, model: Path) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    for path in maintainer.workspace.files.rglob("*.onnx"):
        path.write_bytes(models.candidate("3"))
    with pytest.raises(ReleaseError, match="was changed"):
        maintainer.sign_and_publish()


def test_file_that_is_gone_is_not_published(maintainer: Maintainer, model: Path) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    for path in maintainer.workspace.files.rglob("*.onnx"):
        path.unlink()
    with pytest.raises(ReleaseError, match="not there"):
        maintainer.sign_and_publish()


def test_file_that_is_no_model_is_not_offered(maintainer: Maintainer, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"no model")
    with pytest.raises(ReleaseError, match="no ONNX"):
        offering.add_model(maintainer.workspace, tmp_path / "a.onnx", slot="street")


def test_golden_frames_that_expect_nothing_are_refused(maintainer: Maintainer, model: Path, tmp_path: Path) -> None:
    (tmp_path / "golden").write_bytes(write_golden([GoldenFrame(models.BRIGHT, models.Street(0).detections())]))
    with pytest.raises(ReleaseError, match="blind model would pass"):
        offering.add_model(maintainer.workspace, model, slot="street", golden=tmp_path / "golden")


@pytest.mark.parametrize("name", ["gone", "new.onnx"])
def test_golden_frames_that_are_none_are_refused(
    maintainer: Maintainer, model: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ReleaseError, match=r"can't be read|no golden frames"):
        offering.add_model(maintainer.workspace, model, slot="street", golden=tmp_path / name)


def test_release_numbers_rise_for_ever(maintainer: Maintainer, model: Path, tmp_path: Path) -> None:
    first = offering.add_model(maintainer.workspace, model, slot="street")
    (tmp_path / "b.onnx").write_bytes(models.candidate("3"))
    second = offering.add_model(maintainer.workspace, tmp_path / "b.onnx", slot="street")
    back = offering.withdraw(maintainer.workspace, "street", 2, "blind in the rain", back_to=1)
    assert (first.serial, second.serial) == (1, 2)
    assert [(offer.serial, offer.withdrawn, offer.back) for offer in back] == [(2, True, False), (3, False, True)]


def test_release_that_does_not_exist_is_called_so(maintainer: Maintainer, model: Path) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    with pytest.raises(ReleaseError, match="no release 7; it has 1"):
        offering.change_rollout(maintainer.workspace, "street", 7, percent=5)


def test_way_back_to_the_withdrawn_release_itself_is_refused(maintainer: Maintainer, model: Path) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    with pytest.raises(ReleaseError, match="withdrawn itself"):
        offering.withdraw(maintainer.workspace, "street", 1, "why", back_to=1)


def test_rules_that_can_not_be_are_refused(maintainer: Maintainer, model: Path) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    with pytest.raises(ReleaseError, match="--percent can't be 101; write a whole number"):
        offering.change_rollout(maintainer.workspace, "street", 1, percent=101)


def test_once_more_makes_a_new_release(maintainer: Maintainer, model: Path) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    assert offering.change_rollout(maintainer.workspace, "street", 1, again=True).serial == 2


def test_configuration_is_signed_by_its_own_keys_and_can_not_bring_a_model(
    maintainer: Maintainer, tmp_path: Path
) -> None:
    (tmp_path / "gate.yaml").write_text("cameras: {gate: {detect_fps: 8}}")
    workspace = maintainer.workspace
    offering.add_configuration(workspace, tmp_path / "gate.yaml", device="box-1")
    assert sign(workspace, [maintainer.signer("configuration-1")])
    publish(workspace)
    again = offering.add_configuration(workspace, tmp_path / "gate.yaml", device="box-1", rollout=Rollout(percent=5))
    assert again.serial == 2
    role = workspace.targets().get_delegated_role("configuration")
    assert not role.is_delegated_path("models/street/evil.onnx")


@pytest.mark.parametrize("whom", [{}, {"device": "a", "group": "b"}])
def test_configuration_for_nobody_or_two_is_refused(
    maintainer: Maintainer, tmp_path: Path, whom: dict[str, str]
) -> None:
    with pytest.raises(ReleaseError, match="--device or --group"):
        offering.add_configuration(maintainer.workspace, tmp_path / "gate.yaml", **whom)


def test_configuration_that_says_what_it_may_not_is_refused(maintainer: Maintainer, tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text("mqtt: {host: evil.example}")
    with pytest.raises(ReleaseError, match="may not"):
        offering.add_configuration(maintainer.workspace, tmp_path / "gate.yaml", device="box-1")


def test_outcomes_need_no_offline_key(maintainer: Maintainer) -> None:
    offering.report_outcomes(maintainer.workspace, "street", {1: (10, 2)})
    assert "2.outcomes.json" in publish(maintainer.workspace)


def test_publishing_with_nothing_staged_renews_the_timestamp_alone(maintainer: Maintainer) -> None:
    assert publish(maintainer.workspace) == ["timestamp.json"]


def test_change_that_waits_for_its_signatures_does_not_let_what_is_published_grow_old(
    maintainer: Maintainer, model: Path, tmp_path: Path
) -> None:
    workspace = maintainer.workspace
    publish(workspace, to=tmp_path / "www")
    served = tmp_path / "www" / "metadata" / "timestamp.json"
    before = served.read_bytes()
    offering.add_model(workspace, model, slot="street")
    with pytest.raises(ReleaseError, match=r"lacks 2 signature.*timestamp was renewed"):
        publish(workspace, to=tmp_path / "www")
    assert served.read_bytes() != before
    assert "targets" in workspace.staged()
    assert not (tmp_path / "www" / "metadata" / "2.targets.json").exists()


def test_snapshot_and_outcomes_are_renewed_before_they_expire(maintainer: Maintainer) -> None:
    later = Workspace(maintainer.workspace.folder, datetime.now(UTC) + timedelta(days=20))
    assert publish(later) == ["2.outcomes.json", "2.snapshot.json", "timestamp.json"]


def test_result_is_copied_to_a_folder_that_is_served(maintainer: Maintainer, model: Path, tmp_path: Path) -> None:
    offering.add_model(maintainer.workspace, model, slot="street")
    sign(maintainer.workspace, maintainer.signers())
    publish(maintainer.workspace, to=tmp_path / "www")
    publish(maintainer.workspace, to=tmp_path / "www")
    ours = {p.relative_to(maintainer.workspace.public) for p in maintainer.workspace.public.rglob("*") if p.is_file()}
    theirs = {p.relative_to(tmp_path / "www") for p in (tmp_path / "www").rglob("*") if p.is_file()}
    assert ours == theirs
    assert all(path.stat().st_mode & 0o004 for path in maintainer.workspace.public.rglob("*"))


def test_folder_that_can_not_be_written_is_called_so(maintainer: Maintainer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReleaseError, match="can't be written"):
        publish(maintainer.workspace, to=tmp_path / "file")


def test_metadata_that_is_damaged_asks_for_the_backup(maintainer: Maintainer) -> None:
    (maintainer.workspace.public / "metadata" / "1.targets.json").write_bytes(b"{}")
    with pytest.raises(ReleaseError, match="backup"):
        maintainer.workspace.latest("targets")


def test_rotation_of_the_target_keys_needs_the_root_and_new_signatures(maintainer: Maintainer, tmp_path: Path) -> None:
    workspace = maintainer.workspace
    new = create_key(tmp_path / "targets-4.key", "targets-4", PASSPHRASE, scrypt_n=CHEAP_SCRYPT)
    lost = maintainer.founded.keys["targets"][0].key.keyid
    rotate(workspace, "targets", add=[new], drop=[lost[:12]])
    assert sorted(workspace.staged()) == ["root", "targets"]
    sign(workspace, [*maintainer.signers(), unlock(new.path, PASSPHRASE)])
    publish(workspace)
    assert lost not in workspace.root().get_delegated_role("targets").keyids


def test_rotation_of_the_configuration_keys_needs_only_the_target_keys(maintainer: Maintainer, tmp_path: Path) -> None:
    workspace = maintainer.workspace
    new = create_key(tmp_path / "c.key", "c", PASSPHRASE, scrypt_n=CHEAP_SCRYPT)
    rotate(workspace, "configuration", add=[new], threshold=2)
    assert sorted(workspace.staged()) == ["configuration", "targets"]
    maintainer.sign_and_publish()
    assert workspace.targets().get_delegated_role("configuration").threshold == 2


def test_rotation_of_an_online_key_keeps_the_old_file_for_the_record(maintainer: Maintainer) -> None:
    rotate_online(maintainer.workspace, "outcomes", "", scrypt_n=CHEAP_SCRYPT)
    maintainer.sign_and_publish()
    assert list((maintainer.workspace.folder / "online").glob("outcomes.*.old"))


def test_rotation_that_leaves_too_few_keys_is_refused(maintainer: Maintainer) -> None:
    lost = [file.key.keyid for file in maintainer.founded.keys["targets"][:2]]
    with pytest.raises(ReleaseError, match="would need 2 signatures and have 1"):
        rotate(maintainer.workspace, "targets", drop=lost)


def test_key_that_a_role_has_not_can_not_be_dropped(maintainer: Maintainer) -> None:
    with pytest.raises(ReleaseError, match="0 keys that begin with"):
        rotate(maintainer.workspace, "targets", drop=["zzzz"])


def test_one_key_for_everything_is_possible_for_a_first_try(tmp_path: Path) -> None:
    one = Quorum(1, 1)
    Maintainer(tmp_path, quorums=Quorums(one, one, one)).sign_and_publish()


def test_pictures_that_are_none_are_called_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ReleaseError, match="no picture"):
        read_pictures([tmp_path / "a.png"])


def test_golden_frames_need_pictures_and_a_model(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ReleaseError, match="0 pictures"):
        make_golden(model, [])
    (tmp_path / "bad.onnx").write_bytes(b"")
    with pytest.raises(ReleaseError, match="no ONNX"):
        make_golden(tmp_path / "bad.onnx", [models.BRIGHT])


def test_golden_frames_come_back_as_they_were_written() -> None:
    frame = GoldenFrame(models.BRIGHT, models.Street(3).detections())
    back = read_golden(write_golden([frame, frame]), "a")
    assert len(back) == 2
    assert (back[1].image == frame.image).all()
    assert (back[1].expected.boxes == frame.expected.boxes).all()


@pytest.mark.parametrize("count", [0, 33])
def test_golden_file_with_too_few_or_many_pictures_is_refused(count: int) -> None:
    frame = GoldenFrame(models.BRIGHT, models.Street(1).detections())
    with pytest.raises(UpdateError, match="no golden frames"):
        read_golden(write_golden([frame] * count), "a")


def health(device: str, **update: object) -> tuple[str, bytes]:
    plain = {"slot": "street", "state": "idle", "since": "2026-03-19T17:05:00.000Z", **update}
    return f"kentongan/v1/{device}/health", json.dumps({"updates": [plain]}).encode()


def test_fleet_counts_who_tried_and_who_failed() -> None:
    fleet = Fleet()
    ref = {"name": "street", "version": "2", "sha256": "ab" * 32}
    fleet.take("kentongan/v1/a/status", b'{"state": "online"}')
    fleet.take(*health("a", state="committed", serial=3, model=ref))
    fleet.take(*health("b", state="blocked", reason="crashed", detail="it crashed", candidate=ref, candidate_serial=3))
    fleet.take(*health("c", state="rolled_back", reason="withdrawn", candidate=ref, candidate_serial=3, serial=2))
    fleet.take(*health("d"))
    assert fleet.outcomes("street") == {3: (2, 1), 2: (1, 0)}
    assert fleet.outcomes("other") == {}
    assert fleet.summary() == "4 boxes: 1 blocked, 1 committed, 1 idle, 1 rolled_back"
    assert fleet.table().row_count == 4


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("other", b""),
        ("kentongan/v1/a/count", b"{}"),
        ("kentongan/v1/a/health", b"no json"),
        ("kentongan/v1/a/health", b"[]"),
        ("kentongan/v1/a/health", b"[" * 100_000),
    ],
)
def test_fleet_passes_over_what_is_no_message(topic: str, payload: bytes) -> None:
    fleet = Fleet()
    fleet.take(topic, payload)
    assert fleet.boxes == {}


def test_fleet_passes_over_a_status_of_a_newer_kind() -> None:
    fleet = Fleet()
    fleet.take(*health("a", state="dreaming"))
    assert fleet.boxes["a"].updates == {}
    assert fleet.table().row_count == 1
