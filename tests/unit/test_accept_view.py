"""`kentongan accept-view`: a wish left on the box, and its answer."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from agent.config.schema import Config
from agent.errors import KentonganError, OutputError
from agent.ops.accept_view import ask
from agent.wishes import ANSWER, WISH


def box(folder: Path) -> Config:
    plain = {
        "device": "pole-17",
        "state_dir": folder,
        "mqtt": {"host": "127.0.0.1", "plaintext": True},
        "cameras": [{"name": "gate", "source": "rtsp://camera.invalid/"}],
    }
    return Config.model_validate(plain)


def answering(folder: Path, text: str) -> threading.Thread:
    """An agent that finds the wish."""

    def answer() -> None:
        wish = folder / f"{WISH}gate"
        while not wish.exists():
            threading.Event().wait(0.01)
        wish.with_name(wish.name + ANSWER).write_text(text + "\n")
        wish.unlink()

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    return thread


def test_given_an_agent_that_grants_it_then_its_answer_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    answering(tmp_path, "ok: it was turned")
    assert ask(box(tmp_path), "gate", 5) == "gate: ok: it was turned"
    assert list(tmp_path.iterdir()) == []


def test_given_an_agent_that_refuses_then_its_reason_is_the_error(tmp_path: Path) -> None:
    answering(tmp_path, "gate: its picture shows nothing now (dark); accept it when it does")
    with pytest.raises(KentonganError, match="shows nothing now"):
        ask(box(tmp_path), "gate", 5)


def test_given_no_agent_then_it_is_said_that_the_wish_stays_and_how_to_take_it_back(tmp_path: Path) -> None:
    with pytest.raises(KentonganError, match="nothing is accepted yet; the wish is kept") as told:
        ask(box(tmp_path), "gate", 0.05)
    wish = tmp_path / f"{WISH}gate"
    assert wish.exists()
    assert str(told.value).endswith(f"To take it back: rm {wish}")


def test_given_somebody_who_gives_up_waiting_then_no_wish_is_left_behind(tmp_path: Path) -> None:
    wish = tmp_path / f"{WISH}gate"

    def interrupt() -> None:
        while not wish.exists():
            threading.Event().wait(0.01)
        signal.raise_signal(signal.SIGINT)

    # Whoever runs tests in the background has Ctrl-C ignored.
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            ask(box(tmp_path), "gate", 30)
    finally:
        signal.signal(signal.SIGINT, kept)
    assert list(tmp_path.iterdir()) == []


def test_given_a_wrong_name_or_no_folder_then_it_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(KentonganError, match="no such camera in the configuration, only gate"):
        ask(box(tmp_path), "door", 1)
    with pytest.raises(OutputError, match="can't be written: No such file or directory"):
        ask(box(tmp_path / "missing"), "gate", 1)
