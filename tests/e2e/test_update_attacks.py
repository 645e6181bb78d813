"""Every attack of The Update Framework's list, end to end: refused, called by its name, and the box goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import TargetFile, Targets

from agent.release.publishing import publish
from agent.release.rotation import rotate, rotate_online
from agent.update.fetcher import Limits
from agent.update.ledger import VERSION_LEAP
from agent.update.refusal import Kind, UpdateError
from agent.update.repository import SignedRepository
from tests.fakes.tuf_repository import CHEAP_SCRYPT, Maintainer, RepositoryServer

GOOD = b"a good model" * 1000
OTHER = b"another model" * 900


class Scene:
    """A maintainer with two signed files, a server, and a box that has refreshed once."""

    def __init__(self, folder: Path, server: RepositoryServer, maintainer: Maintainer) -> None:
        self.folder = folder
        self.server = server
        self.maintainer = maintainer
        self.box = self.new_box("box")

    def new_box(self, name: str, root: bytes | None = None, *, patience_s: float = 10) -> SignedRepository:
        limits = Limits(bytes_per_s=50_000_000, patience_s=patience_s, least_bytes_per_s=2000)
        return SignedRepository(
            self.server.url, self.folder / name, self.maintainer.root if root is None else root, limits
        )

    def add(self, path: str, data: bytes) -> None:
        workspace = self.maintainer.workspace
        targets = workspace.edit("targets", Targets)
        targets.targets[path] = TargetFile.from_data(path, data, ["sha256"])
        workspace.write(workspace.files / path, data)
        workspace.stage("targets", targets)

    def fetch(self, path: str) -> bytes:
        """Refresh and download one file."""
        self.box.refresh()
        signed = self.box.find(path)
        assert signed is not None
        place = self.folder / "placed" / path
        self.box.download(signed, place)
        return place.read_bytes()

    def refused(self, path: str = "good") -> Kind:
        """The kind by which a check and download is refused; nothing may have been put in place."""
        place = self.folder / "placed" / path
        with pytest.raises(UpdateError) as caught:
            self.fetch(path)
        assert not place.exists()
        return caught.value.kind


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    maintainer = Maintainer(tmp_path)
    with RepositoryServer(maintainer.workspace.public).running() as server:
        scene = Scene(tmp_path, server, maintainer)
        scene.add("good", GOOD)
        scene.add("other", OTHER)
        maintainer.sign_and_publish()
        scene.box.refresh()
        yield scene
        scene.box.close()


def public(scene: Scene, name: str) -> Path:
    return next((scene.maintainer.workspace.public / "targets").glob(f"*.{name}"))


def test_honest_repository_gives_the_signed_bytes(scene: Scene) -> None:
    assert scene.fetch("good") == GOOD


def test_arbitrary_installation_bytes_nobody_signed_are_refused(scene: Scene) -> None:
    public(scene, "good").write_bytes(b"evil bytes!!" * 1000)

    assert scene.refused() == "arbitrary_installation"

    public(scene, "good").write_bytes(GOOD)
    assert scene.fetch("good") == GOOD


def test_arbitrary_installation_of_another_length_is_refused_before_it_is_downloaded(scene: Scene) -> None:
    public(scene, "good").write_bytes(b"evil" * 16_000_000)  # more than the sockets in between would swallow unread
    scene.server.sent_bytes = 0

    assert scene.refused() == "arbitrary_installation"
    assert scene.server.sent_bytes < 1_000_000


def test_wrong_target_another_signed_file_in_its_place_is_refused(scene: Scene) -> None:
    public(scene, "good").write_bytes(OTHER)

    assert scene.refused() == "wrong_target"


def test_wrong_target_of_the_same_length_is_refused_by_its_hash(scene: Scene) -> None:
    scene.add("twin", GOOD[::-1])
    scene.maintainer.sign_and_publish()
    public(scene, "good").write_bytes(GOOD[::-1])

    assert scene.refused() == "wrong_target"


def test_rollback_of_all_metadata_is_refused(scene: Scene) -> None:
    old = scene.maintainer.keep()
    scene.add("newer", b"newer")
    scene.maintainer.sign_and_publish()
    scene.box.refresh()

    scene.maintainer.replay(old)

    assert scene.refused() == "rollback"


def test_rollback_of_targets_by_the_holder_of_the_online_keys_is_refused(scene: Scene) -> None:
    maintainer = scene.maintainer
    old = maintainer.version("targets")
    scene.add("newer", b"newer")
    maintainer.sign_and_publish()
    scene.box.refresh()

    def back(snapshot: Any) -> None:
        snapshot.version += 1
        snapshot.meta["targets.json"].version = old
        snapshot.meta["targets.json"].hashes = snapshot.meta["targets.json"].length = None

    name = f"{maintainer.version('snapshot')}.snapshot.json"
    path = maintainer.workspace.public / "metadata"
    honest = (path / name).read_bytes()
    maintainer.forge(name, back, maintainer.online("snapshot"))
    number = int(name.split(".", maxsplit=1)[0])
    (path / f"{number + 1}.snapshot.json").write_bytes((path / name).read_bytes())
    (path / name).write_bytes(honest)

    def point(timestamp: Any) -> None:
        timestamp.version += 1
        timestamp.snapshot_meta.version = number + 1
        timestamp.snapshot_meta.hashes = timestamp.snapshot_meta.length = None

    maintainer.forge("timestamp.json", point, maintainer.online("timestamp"))

    assert scene.refused() == "rollback"


def test_freeze_expired_metadata_is_refused_and_a_fresh_timestamp_heals_it(scene: Scene) -> None:
    def expire(timestamp: Any) -> None:
        timestamp.version += 1
        timestamp.expires = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)

    scene.maintainer.forge("timestamp.json", expire, scene.maintainer.online("timestamp"))

    assert scene.refused() == "freeze"

    publish(scene.maintainer.workspace)
    assert scene.fetch("good") == GOOD


def test_fast_forward_with_stolen_online_keys_is_refused_and_locks_nobody_out(scene: Scene) -> None:
    honest = scene.maintainer.keep()

    def leap(timestamp: Any) -> None:
        timestamp.version = 2**31

    scene.maintainer.forge("timestamp.json", leap, scene.maintainer.online("timestamp"))

    assert scene.refused() == "fast_forward"

    scene.maintainer.replay(honest)
    publish(scene.maintainer.workspace)
    assert scene.fetch("good") == GOOD


def test_fast_forward_of_a_named_version_is_refused(scene: Scene) -> None:
    def leap(timestamp: Any) -> None:
        timestamp.version += 1
        timestamp.snapshot_meta.version = VERSION_LEAP * 2

    scene.maintainer.forge("timestamp.json", leap, scene.maintainer.online("timestamp"))

    assert scene.refused() == "fast_forward"


def test_fast_forward_below_the_leap_is_forgotten_after_the_online_keys_are_rotated(scene: Scene) -> None:
    maintainer = scene.maintainer
    before = maintainer.version("timestamp")

    def ahead(timestamp: Any) -> None:
        timestamp.version += 50_000

    honest = maintainer.keep()
    maintainer.forge("timestamp.json", ahead, maintainer.online("timestamp"))
    scene.box.refresh()
    maintainer.replay(honest)
    publish(maintainer.workspace)
    assert scene.refused() == "rollback"

    for role in ("snapshot", "timestamp"):
        rotate_online(maintainer.workspace, role, "", scrypt_n=CHEAP_SCRYPT)
    maintainer.sign_and_publish()

    assert maintainer.version("timestamp") < before + 50_000
    assert scene.fetch("good") == GOOD


def test_mix_and_match_of_files_that_never_belonged_together_is_refused(scene: Scene) -> None:
    maintainer = scene.maintainer
    old = (maintainer.workspace.public / "metadata" / f"{maintainer.version('targets')}.targets.json").read_bytes()
    scene.add("newer", b"newer")
    maintainer.sign_and_publish()
    (maintainer.workspace.public / "metadata" / f"{maintainer.version('targets')}.targets.json").write_bytes(old)

    assert scene.refused() == "mix_and_match"


def test_endless_data_in_metadata_is_cut_off(scene: Scene) -> None:
    scene.server.mood.endless = ("timestamp.json",)
    scene.server.sent_bytes = 0

    assert scene.refused() == "endless_data"
    assert scene.server.sent_bytes < 5_000_000


def test_endless_data_in_a_target_is_cut_off_and_leaves_nothing_on_the_disk(scene: Scene) -> None:
    scene.server.mood.endless = (".good",)

    assert scene.refused() == "endless_data"
    assert not list((scene.folder / "box" / "partial").iterdir())


def test_key_compromise_below_threshold_is_refused(scene: Scene) -> None:
    maintainer = scene.maintainer
    scene.add("evil", b"evil")
    workspace = maintainer.workspace
    metadata = workspace.latest("targets")
    metadata.sign(maintainer.signer("targets-1"))
    workspace.put_public(f"{metadata.signed.version}.targets.json", metadata)
    workspace.unstage("targets")
    publish_with_stolen_online_keys(maintainer)

    assert scene.refused("evil") == "below_threshold"


def publish_with_stolen_online_keys(maintainer: Maintainer) -> None:
    """What a thief of the online machine can do: name whatever lies in the folder."""
    path = maintainer.workspace.public / "metadata"
    number, newest = maintainer.version("snapshot"), maintainer.version("targets")

    def name_newest(snapshot: Any) -> None:
        snapshot.version += 1
        snapshot.meta["targets.json"].version = newest
        snapshot.meta["targets.json"].hashes = snapshot.meta["targets.json"].length = None

    (path / f"{number + 1}.snapshot.json").write_bytes((path / f"{number}.snapshot.json").read_bytes())
    maintainer.forge(f"{number + 1}.snapshot.json", name_newest, maintainer.online("snapshot"))

    def point(timestamp: Any) -> None:
        timestamp.version += 1
        timestamp.snapshot_meta.version = number + 1
        timestamp.snapshot_meta.hashes = timestamp.snapshot_meta.length = None

    maintainer.forge("timestamp.json", point, maintainer.online("timestamp"))


def test_root_signed_by_too_few_of_the_old_keys_is_refused(scene: Scene) -> None:
    maintainer = scene.maintainer
    rotate(maintainer.workspace, "root", drop=[maintainer.founded.keys["root"][2].key.keyid])
    metadata = maintainer.workspace.latest("root")
    metadata.sign(maintainer.signer("root-1"))
    maintainer.workspace.put_public("2.root.json", metadata)

    assert scene.refused() == "below_threshold"


def test_slow_retrieval_of_a_server_that_trickles_is_given_up(scene: Scene) -> None:
    scene.box = scene.new_box("hasty", patience_s=0.4)
    scene.server.mood.trickle = ("timestamp.json",)

    assert scene.refused() == "slow_retrieval"


def test_slow_retrieval_of_a_target_that_trickles_is_given_up(scene: Scene) -> None:
    scene.box = scene.new_box("hasty", patience_s=0.4)
    scene.server.mood.trickle = (".good",)

    assert scene.refused() == "slow_retrieval"


def test_silent_server_is_given_up(scene: Scene) -> None:
    scene.box = scene.new_box("hasty", patience_s=0.4)
    scene.server.mood.silent = ("timestamp.json",)

    assert scene.refused() == "slow_retrieval"


def test_wrong_root_is_called_so(scene: Scene, tmp_path: Path) -> None:
    stranger = Maintainer(tmp_path / "stranger")
    scene.box = scene.new_box("fresh", stranger.root)

    assert scene.refused() == "wrong_root"


def test_root_file_that_is_none_is_called_malformed(scene: Scene) -> None:
    scene.box = scene.new_box("fresh", b"<html>")

    assert scene.refused() == "malformed"


def test_portal_that_answers_with_a_page_is_no_repository(scene: Scene) -> None:
    scene.server.mood.portal = True

    assert scene.refused() == "not_a_repository"

    scene.server.mood.portal = False
    assert scene.fetch("good") == GOOD


@pytest.mark.parametrize("part", ["snapshot", "targets.json", ".good"])
def test_repository_that_vanishes_in_the_middle_is_called_so(scene: Scene, part: str) -> None:
    scene.add("newer", b"newer")
    scene.maintainer.sign_and_publish()
    scene.server.mood.gone = (part,)

    assert scene.refused() == "vanished"

    scene.server.mood.gone = ()
    assert scene.fetch("good") == GOOD


def test_no_server_at_all_is_unreachable(scene: Scene) -> None:
    scene.box = SignedRepository("http://127.0.0.1:9", scene.folder / "lonely", scene.maintainer.root)

    assert scene.refused() == "unreachable"


def test_full_disk_is_told_before_anything_is_downloaded(scene: Scene) -> None:
    scene.box = SignedRepository(
        scene.server.url, scene.folder / "full", scene.maintainer.root, free_bytes=lambda _folder: 1000
    )

    assert scene.refused() == "disk_full"


def test_cut_download_resumes_where_it_was_cut(scene: Scene) -> None:
    scene.server.mood.cut_after = 5000
    assert scene.refused() == "unreachable"
    assert scene.refused() == "unreachable"
    scene.server.mood.cut_after = None

    assert scene.fetch("good") == GOOD
    ranges = [asked for path, asked in scene.server.requests if path.endswith(".good")]
    assert ranges == [None, "bytes=5000-", "bytes=10000-"]


def test_download_that_was_cut_on_an_older_target_leaves_no_litter(scene: Scene) -> None:
    scene.server.mood.cut_after = 5000
    assert scene.refused() == "unreachable"
    scene.server.mood.cut_after = None

    assert scene.fetch("other") == OTHER
    assert not list((scene.folder / "box" / "partial").iterdir())


def test_new_root_keys_are_followed(scene: Scene) -> None:
    maintainer = scene.maintainer
    rotate(maintainer.workspace, "root", drop=[maintainer.founded.keys["root"][2].key.keyid])
    maintainer.sign_and_publish()

    assert scene.fetch("good") == GOOD
    assert scene.new_box("later").refresh() is None


def test_check_that_finds_nothing_costs_less_than_20_kb(scene: Scene) -> None:
    for number in range(40):
        scene.add(f"models/street/model-{number}.onnx", b"%d" % number)
    scene.maintainer.sign_and_publish()
    scene.box.refresh()
    scene.server.sent_bytes = scene.server.received_bytes = 0

    scene.box.refresh()

    cost = scene.server.sent_bytes + scene.server.received_bytes
    assert cost < 20_000, f"{cost} bytes"
