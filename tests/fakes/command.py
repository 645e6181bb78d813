"""Runs one command of the command line within the test's own process, and gives back what a shell would see.

The handlers of the log and of signals are put back afterwards. Never catches more than the exit that the command
line itself asks for.
"""

from __future__ import annotations

import contextlib
import io
import logging
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from agent.cli import main


@dataclass(frozen=True, slots=True)
class Done:
    """Exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything in one line, so that a sentence is found wherever a terminal would break it."""
        return " ".join(f"{self.out} {self.err}".split())


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    kept = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, kept, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def _own_log() -> Iterator[None]:
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = kept
        root.setLevel(level)


def command(*words: object) -> Done:
    """What `kentongan WORDS` does."""
    out, err = io.StringIO(), io.StringIO()
    with _own_signals(), _own_log(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as asked:
            code = asked.code if isinstance(asked.code, int) else 1
    return Done(code, out.getvalue(), err.getvalue())


def assert_one_sentence(done: Done, code: int, *parts: str) -> None:
    """Fail unless the command ended with this code and said these things, without a traceback."""
    assert done.code == code, done
    assert "Traceback" not in done.err, done.err
    assert done.err.count("kentongan: ") == 1, done.err
    for part in parts:
        assert part in done.said, done.said
