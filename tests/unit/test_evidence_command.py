"""`kentongan evidence` and what `kentongan check` says of it: for the owner of the clips, without a box that runs."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import pytest

from agent.config.load import load_config
from agent.errors import ConfigError
from agent.ops.check_evidence import check_evidence
from agent.receive import Arrival, SqliteStore
from agent.scene.attest import Attest
from tests.fakes.command import assert_one_sentence, command
from tests.fakes.evidence import WitnessedBox, config_of, key_pair

HEAD = (
    "device: pole-17\nmqtt: {host: 127.0.0.1, plaintext: true}\ncameras: [{name: gate, source: 'rtsp://x.invalid/'}]\n"
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> tuple[WitnessedBox, Path]:
    folder = tmp_path_factory.mktemp("box")
    key, key_file = key_pair(folder)
    made = WitnessedBox(config_of(folder / "state", key))
    made.film(6)
    made.tell()
    made.film(8)
    return made, key_file


def test_list_shows_what_is_kept_by_configuration_and_by_folder(box: tuple[WitnessedBox, Path], tmp_path: Path) -> None:
    made, key_file = box
    key = key_file.read_text()
    config = tmp_path / "box.yaml"
    public = made.config.evidence.keys[0] if made.config.evidence else key
    config.write_text(f"{HEAD}state_dir: {made.config.state_dir}\nevidence: {{keys: [{public}]}}\n", encoding="utf-8")
    for place in (config, made.root):
        done = command("evidence", "list", place)
        assert done.code == 0
        assert "aggression" in done.said
        assert done.out.startswith("1 clip in ")
        for path in made.paths():
            assert f"{path.name}\n" in done.out, "whole, on a line of its own"
            assert f"  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}\n" in done.out
    config.write_text(HEAD, encoding="utf-8")
    assert_one_sentence(command("evidence", "list", config), 65, "keeps no evidence")


def test_decrypt_gives_a_film_that_plays_and_says_what_it_shows(box: tuple[WitnessedBox, Path], tmp_path: Path) -> None:
    made, key_file = box
    film = tmp_path / "film.avi"
    done = command("evidence", "decrypt", made.paths()[0], "-i", key_file, "-o", film)
    assert done.code == 0, done
    assert "camera gate of pole-17" in done.said
    assert "aggression" in done.said
    assert stat.S_IMODE(film.stat().st_mode) == 0o600
    assert cv2.VideoCapture(str(film)).get(cv2.CAP_PROP_FRAME_COUNT) > 30
    assert_one_sentence(
        command("evidence", "decrypt", made.paths()[0], "-i", key_file, "-o", film), 73, "name a new file"
    )


def test_decrypt_explains_what_it_can_not_open(box: tuple[WitnessedBox, Path], tmp_path: Path) -> None:
    made, key_file = box
    clip, out = made.paths()[0], tmp_path / "out.avi"
    (tmp_path / "other").mkdir()
    _, stranger = key_pair(tmp_path / "other")
    damaged = tmp_path / "damaged.age"
    damaged.write_bytes(clip.read_bytes()[:-40] + bytes(40))
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n", encoding="utf-8")
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("AGE-SECRET-KEY-1" + "Q" * 58, encoding="utf-8")
    for words, parts in (
        ((clip, "-i", stranger), ("sealed to another key",)),
        ((damaged, "-i", key_file), ("its bytes were changed",)),
        ((clip, "-i", empty), ("holds no private key",)),
        ((clip, "-i", wrong), ("can't be read as a private key",)),
        ((clip, "-i", tmp_path / "none.txt"), ("can't be read as a private key",)),
        ((tmp_path / "none.age", "-i", key_file), ("can't be read", "check its name")),
    ):
        assert_one_sentence(command("evidence", "decrypt", *words, "-o", out), 65, *parts)
    assert not out.exists()


def test_verify_knows_a_clip_by_what_the_centre_recorded(box: tuple[WitnessedBox, Path], tmp_path: Path) -> None:
    made, _ = box
    clip, (evidence,) = made.paths()[0], made.finished
    assert command("evidence", "verify", clip, "--sha256", evidence.clip.sha256.upper()).code == 0
    changed = tmp_path / clip.name
    changed.write_bytes(clip.read_bytes() + b"\0")
    assert_one_sentence(command("evidence", "verify", changed, "--sha256", evidence.clip.sha256), 65, "it was changed")
    (body,) = Attest({}, watched=True).attest([evidence])
    store = tmp_path / "centre.db"
    opened = SqliteStore(store)
    details = body.details  # type: ignore[union-attr]
    text = json.dumps({"event": "e" * 8, "details": details})
    opened.store([Arrival("pole-17", "id-1", 1, "boot", "event", "gate", 1.0, text)], 1.0)
    opened.close()
    done = command("evidence", "verify", clip, "--store", store)
    assert done.code == 0, done
    assert "event eeeeeeee" in done.said
    assert_one_sentence(
        command("evidence", "verify", changed, "--store", store), 65, "is not the clip that was recorded"
    )
    renamed = tmp_path / "renamed.age"
    renamed.write_bytes(clip.read_bytes())
    assert_one_sentence(command("evidence", "verify", renamed, "--store", store), 65, "no event in", "renamed")
    with closing(sqlite3.connect(tmp_path / "empty.db")):
        pass
    assert_one_sentence(command("evidence", "verify", clip, "--store", tmp_path / "no.db"), 65, "can't be read as")


def test_keygen_makes_a_pair_that_a_configuration_takes_and_that_only_its_maker_may_read(tmp_path: Path) -> None:
    file = tmp_path / "owner.txt"
    done = command("evidence", "keygen", file)
    assert done.code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    section = done.out.split("configuration:")[1].strip()
    config = tmp_path / "box.yaml"
    config.write_text(f"{HEAD}{section}\n", encoding="utf-8")
    assert load_config(config).evidence is not None
    assert_one_sentence(command("evidence", "keygen", file), 73, "name a new file")


@pytest.mark.parametrize(
    ("section", "parts"),
    [
        ("{}", ("keys",)),
        ("{keys: []}", ("keys",)),
        ("{keys: [age1short]}", ("keys",)),
        ("{keys: [ssh-ed25519 AAAA]}", ("keys",)),
        ("{keys: [KEY], folder: clips}", ("absolute path",)),
        ("{keys: [KEY], on: []}", ("on",)),
        ("{keys: [KEY], fps: 25}", ("fps",)),
        ("{keys: [KEY], on: [theft]}", ("on",)),
    ],
)
def test_a_section_that_can_not_be_meant_is_refused(tmp_path: Path, section: str, parts: tuple[str, ...]) -> None:
    config = tmp_path / "box.yaml"
    config.write_text(f"{HEAD}evidence: {section.replace('KEY', key_pair(tmp_path)[0])}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_config(config)
    for part in parts:
        assert part in str(refused.value)


def test_a_private_key_in_a_configuration_is_refused_and_never_repeated(tmp_path: Path) -> None:
    _, key_file = key_pair(tmp_path)
    secret = key_file.read_text().split()[-1]
    config = tmp_path / "box.yaml"
    config.write_text(f"{HEAD}evidence: {{keys: [{secret}]}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="this is a private key") as refused:
        load_config(config)
    assert secret[-40:] not in str(refused.value)


def test_check_says_what_would_keep_a_clip_from_being_kept(tmp_path: Path) -> None:
    key, _ = key_pair(tmp_path)
    wrong_letter = key[:-1] + ("q" if key[-1] != "q" else "p")

    def said(**wishes: object) -> str:
        config = config_of(tmp_path, wishes.pop("key", key), **wishes)  # type: ignore[arg-type]
        found = check_evidence(config, lambda _: bool(may), lambda _: free)
        return " | ".join(f"{one.level}: {one.text()}" for one in found)

    may, free = True, 10**13
    assert said() == ""
    assert "error: evidence can't be sealed to" in said(key=wrong_letter)
    source = "rtsp://x.invalid/"
    own: list[dict[str, Any]] = [{"name": "gate", "source": source, "evidence": {"keys": [wrong_letter]}}]
    assert "error: evidence can't be sealed to" in said(cameras=own)
    own[0]["evidence"] = {"keys": [wrong_letter], "enabled": False}
    assert said(cameras=own) == "", "nothing is kept of it"
    assert "may be too little for the 75 s that memory must hold of a camera" in said(memory_mb=4, before_s=60)
    free = 10**9
    assert "has 1000 MB left; evidence may use 2700" in said(ring={"minutes": 1, "mb": 500})
    free = 10**8
    assert "is full, so no clip can be kept" in said()
    free = 10**13
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert "can't be a folder" in said(folder=tmp_path / "file" / "clips")
    may = False
    assert "can't be written by this user" in said(folder=tmp_path / "clips")
    plain = config_of(tmp_path, key, cameras=[{"name": "gate", "source": source, "evidence": {"keys": [key]}}])
    off = plain.model_copy(update={"evidence": None})
    (finding,) = check_evidence(off, lambda _: True)
    assert "names keys for evidence, but none is kept" in finding.text()
