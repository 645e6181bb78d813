"""The edges of updates: servers that half know HTTP, files that half make sense, disks that fail on the way back."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tuf.api.exceptions import DownloadError, RepositoryError

from agent.update.child import ChildEyes, ChildLimits
from agent.update.child_main import serve
from agent.update.choice import Offered, Present, choose
from agent.update.durable import Disk
from agent.update.eyes import Subject
from agent.update.fetcher import Limits, PacedFetcher, UnreachableError, partial_name
from agent.update.golden import GoldenFrame, read_golden, write_golden
from agent.update.ledger import Ledger
from agent.update.offer import Box, ModelOffer
from agent.update.pace import Pace
from agent.update.refusal import ATTACKS, UpdateError, from_os_error
from agent.update.repository import Signed, SignedRepository
from agent.update.slot import Candidate, Held, Slot
from agent.update.store import ModelStore
from agent.update.trial import Terms, Trial
from tests.fakes import update_models as models
from tests.fakes.tuf_repository import RepositoryServer
from tests.fakes.updates import Temper

DATA = bytes(range(256)) * 100


def child(folder: Path, data: bytes, pictures: bytes = b"", sha256: str | None = None) -> list[dict[str, Any]]:
    """What the child answers, in this process and without its limits."""
    path = folder / "model.onnx"
    path.write_bytes(data)
    request = {"model": str(path), "sha256": sha256, "foreign": None, "memory_bytes": 1, "threads": 1}
    asked = io.BytesIO(json.dumps(request | {"providers": ["cpu"]}).encode() + b"\n" + pictures)
    answers = io.BytesIO()
    serve(asked, answers, bound=lambda _bytes: None)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_child_loads_looks_and_answers(tmp_path: Path) -> None:
    picture = json.dumps([*models.BRIGHT.shape[:2]]).encode() + b"\n" + models.BRIGHT.tobytes()
    ready, first, second = child(tmp_path, models.candidate("1"), picture * 2)
    assert ready == {"ready": "street", "provider": "cpu"}
    assert len(first["boxes"]) == 4
    assert first["boxes"] == second["boxes"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [(models.not_a_number("1"), "not_finite"), (models.failing("1"), "bad_model"), (b"none", "bad_model")],
)
def test_child_refuses_by_name(tmp_path: Path, data: bytes, kind: str) -> None:
    assert [answer["refused"] for answer in child(tmp_path, data)] == [kind]


def test_child_refuses_other_bytes_than_were_verified(tmp_path: Path) -> None:
    answers = child(tmp_path, models.candidate("1"), sha256=hashlib.sha256(b"other").hexdigest())
    assert answers[0]["refused"] == "arbitrary_installation"


def test_child_without_memory_says_so(tmp_path: Path) -> None:
    def refuse(_bytes: int) -> None:
        raise MemoryError

    answers = io.BytesIO()
    serve(io.BytesIO(b'{"memory_bytes": 1}\n'), answers, bound=refuse)
    assert json.loads(answers.getvalue())["refused"] == "out_of_memory"


class Downloads:
    """A fetcher and a server with one file."""

    def __init__(self, folder: Path, server: RepositoryServer) -> None:
        (server.folder / "file").write_bytes(DATA)
        self.server = server
        self.url = f"{server.url}/file"
        self.partial = folder / "partial"
        self.fetcher = PacedFetcher(Limits(bytes_per_s=1e9, patience_s=2), self.partial)

    def leave(self, data: bytes) -> None:
        """An unfinished download of an earlier try."""
        self.partial.mkdir()
        (self.partial / partial_name(self.url)).write_bytes(data)

    def bring(self) -> bytes:
        with self.fetcher.download_file(self.url, len(DATA)) as file:
            data = file.read()
        self.fetcher.close()
        return data


@pytest.fixture
def downloads(tmp_path: Path) -> Any:
    (tmp_path / "www").mkdir()
    with RepositoryServer(tmp_path / "www").running() as server:
        yield Downloads(tmp_path, server)


def test_unfinished_download_continues(downloads: Downloads) -> None:
    downloads.leave(DATA[:1000])
    assert downloads.bring() == DATA
    assert downloads.server.requests == [("/file", "bytes=1000-")]


def test_unfinished_download_that_was_whole_asks_nobody(downloads: Downloads) -> None:
    downloads.leave(DATA)
    assert downloads.bring() == DATA
    assert downloads.server.requests == []


def test_unfinished_download_that_is_too_long_starts_over(downloads: Downloads) -> None:
    downloads.leave(DATA + b"x")
    assert downloads.bring() == DATA


def test_server_that_ignores_ranges_starts_over(downloads: Downloads) -> None:
    downloads.leave(b"wrong" * 10)
    downloads.server.mood.no_ranges = True
    assert downloads.bring() == DATA


def test_server_whose_file_is_shorter_than_what_is_here_starts_over(downloads: Downloads) -> None:
    (downloads.server.folder / "file").write_bytes(DATA[:100])
    downloads.leave(DATA[:200])
    with pytest.raises(DownloadError, match="100 bytes instead of"):
        downloads.bring()
    downloads.fetcher.close()


def test_body_without_a_length_that_ends_early_is_kept_for_later(downloads: Downloads) -> None:
    downloads.server.mood.no_length = True
    (downloads.server.folder / "file").write_bytes(DATA[:100])
    with pytest.raises(UnreachableError, match="ended after 100"):
        downloads.bring()
    downloads.fetcher.close()
    assert (downloads.partial / partial_name(downloads.url)).stat().st_size == 100


def test_address_that_is_none_is_unreachable(tmp_path: Path) -> None:
    fetcher = PacedFetcher(Limits(), tmp_path)
    with pytest.raises(UnreachableError):
        fetcher.download_bytes("http://127.0.0.1:99999/a", 10)


def test_bandwidth_stays_under_its_cap() -> None:
    pace, now_s, sent = Pace(1000), 0.0, 0
    while sent < 20_000:
        wait_s = pace.wait_s(500, now_s)
        sent += 500
        now_s += wait_s + 0.01
    assert sent / now_s <= 1100


def rezipped(change: dict[str, Any]) -> bytes:
    """Golden frames with some arrays replaced."""
    good = write_golden([GoldenFrame(models.BRIGHT, models.Street(2).detections())])
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            raw = io.BytesIO()
            if name in change:
                np.save(raw, change[name], allow_pickle=True)
            new.writestr(name, raw.getvalue() or old.read(name))
    return out.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        {"00/image.npy": np.zeros((4, 4), np.uint8)},
        {"00/image.npy": np.zeros((4, 4, 3), np.float32)},
        {"00/boxes.npy": np.zeros((3, 4), np.float32)},
        {"00/classes.npy": np.array([1, 99])},
        {"00/scores.npy": np.array([0.5, np.nan], np.float32)},
        {"00/boxes.npy": np.array([object()], dtype=object)},
    ],
)
def test_golden_frames_that_make_no_sense_are_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(UpdateError, match="no golden frames"):
        read_golden(rezipped(change), "a")


def test_golden_frames_that_unpack_to_too_much_are_malformed() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("00/image.npy", bytes(300 * 1024 * 1024))
    with pytest.raises(UpdateError, match="more than is allowed"):
        read_golden(out.getvalue(), "a")


def test_disk_that_is_full_and_disk_that_is_broken_say_what_to_do() -> None:
    assert "free some space" in str(from_os_error(OSError(errno.ENOSPC, "full"), "a"))
    assert "check the disk" in str(from_os_error(OSError(errno.EIO, "I/O error"), "a"))
    assert "freeze" in ATTACKS


def test_store_that_can_not_be_read_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "abc").mkdir()
    store = ModelStore(tmp_path, Disk())
    with pytest.raises(UpdateError, match="check the disk"):
        store.read("abc")
    assert not store.has("abd")
    ModelStore(tmp_path / "nowhere", Disk()).keep_only(frozenset())


def test_repository_that_was_not_refreshed_gives_nothing(tmp_path: Path) -> None:
    repository = SignedRepository("http://127.0.0.1:9", tmp_path, b"")
    assert repository.received_bytes == 0
    with pytest.raises(UpdateError, match="not refreshed"):
        repository.find("a")


def test_errors_of_the_client_are_named(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.explain(OSError(errno.ENOSPC, "full"), "x").kind == "disk_full"
    assert ledger.explain(DownloadError("odd"), "x").kind == "unreachable"
    assert ledger.explain(RepositoryError("odd"), "x").kind == "malformed"


def test_slot_takes_no_step_it_has_nothing_for() -> None:
    slot = Slot()
    with pytest.raises(ValueError, match="no candidate to commit"):
        slot.committed(0)
    with pytest.raises(ValueError, match="no candidate to refuse"):
        slot.refused("crashed", "", 0)
    with pytest.raises(ValueError, match="nothing to go back from"):
        slot.rolled_back("crashed", "", 0)


def test_box_that_can_not_start_a_process_blames_no_candidate(tmp_path: Path) -> None:
    with pytest.raises(UpdateError, match="can't start a trial just now") as caught:
        ChildEyes(Subject(tmp_path / "model.onnx", None), ChildLimits(), (str(tmp_path / "no-such-program"),))
    assert caught.value.kind == "not_now"


def test_child_is_who_the_kernel_ends_first_where_memory_runs_out() -> None:
    show = "print(open('/proc/self/oom_score_adj').read())"
    program = f"from agent.update.child_main import limit; limit(2_000_000_000); {show}"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.strip() == "1000"


def test_sentence_of_any_length_is_told_short() -> None:
    assert len(Slot().told("malformed", "x" * 5000).status("street").detail or "") == 300
    assert Slot().told("malformed", "x" * 300).status("street").detail == "x" * 300


def test_only_so_many_blocked_files_are_remembered() -> None:
    slot = Slot()
    for number in range(100):
        held = Held(name="a", version="1", sha256=str(number), serial=number)
        slot = slot.begun(Candidate(model=held, family="", target=""), 0).refused("crashed", "", 0)
    assert len(slot.blocked) == 64
    assert slot.block_of("99") is not None
    assert slot.block_of("1") is None


def offered(serial: int, **fields: Any) -> Offered:
    offer = ModelOffer(slot="s", name="a", version="1", family="yolo", serial=serial, **fields)
    return Offered(Signed(f"{serial}", 1, f"sha-{serial}", {}), offer)


def test_newest_release_that_is_for_this_box_is_chosen() -> None:
    offers = [offered(1), offered(2, rollout={"groups": ["other"]}), offered(3, withdrawn=True)]
    choice = choose(offers, Slot(), Present("a", "1", "now"), Box("b", (), "1"), {})
    assert choice.take is not None
    assert choice.take.offer.serial == 1


def test_reason_of_the_newest_release_is_told_when_none_is_for_this_box() -> None:
    offers = [offered(1, rollout={"percent": 0}), offered(2, rollout={"groups": ["other"]})]
    choice = choose(offers, Slot(), Present("a", "1", "now"), Box("b", (), "1"), {})
    assert choice.why_not is not None
    assert choice.why_not[0] == "not_for_this_box"


def test_box_that_is_too_slow_as_it_is_takes_a_candidate_that_is_no_slower() -> None:
    terms = Terms(budget_s=0.1, max_slowdown_percent=300)
    old, new = Subject(Path("old"), "old"), Subject(Path("new"), "new")
    Trial(Temper(took_s={"old": 0.3, "new": 0.31})).run(new, old, (), terms)
    with pytest.raises(UpdateError, match="leave 100 ms") as caught:
        Trial(Temper(took_s={"old": 0.3, "new": 0.4})).run(new, old, (), terms)
    assert caught.value.kind == "too_slow"
    with pytest.raises(UpdateError, match="leave 100 ms"):
        Trial(Temper(took_s={"old": 0.05, "new": 0.12})).run(new, old, (), terms)
