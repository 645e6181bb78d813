"""Runs a candidate in a process of its own, and survives whatever it does.

Promises that every call ends: with an answer, or with a refusal by name after the time or memory that a candidate may
take. The process is gone when it is closed, or when the agent is.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np

from agent.update.eyes import Glance, Subject
from agent.update.refusal import Kind, UpdateError
from agent.values import Detections, Image

_POLL_S: Final = 0.2  # how often the memory is looked at while waiting
_PIPE_BYTES: Final = 65536
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_COMMAND: Final = (sys.executable, "-m", "agent.update.child_main")


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What a candidate may take.

    Attributes:
        memory_bytes: Of memory.
        load_s: Until it is loaded and has looked at a grey picture.
        look_s: For one picture.
        threads: As in :class:`agent.vision.engine.EngineOptions`.
        providers: As in :class:`agent.vision.engine.EngineOptions`.
    """

    memory_bytes: int = 1_500_000_000
    load_s: float = 120.0
    look_s: float = 20.0
    threads: int = 0
    providers: tuple[str, ...] | None = None


class ChildEyes:
    """A model in a child process; see :class:`agent.update.eyes.Eyes`.

    Args:
        subject: The model file.
        limits: What it may take.
        command: The child's command line.

    Raises:
        UpdateError: It does not load, or the box can't start a process just now (``not_now``).
    """

    def __init__(self, subject: Subject, limits: ChildLimits, command: Sequence[str] = _COMMAND) -> None:
        self._name = subject.path.name
        self._limits = limits
        self._unread = b""
        self._process = _started(command)
        self._requests, self._answers = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        os.set_blocking(self._requests.fileno(), False)
        request = {
            "model": str(subject.path.absolute()),
            "sha256": subject.sha256,
            "foreign": None if subject.foreign is None else asdict(subject.foreign),
            "memory_bytes": limits.memory_bytes,
            "threads": limits.threads,
            "providers": limits.providers,
        }
        try:
            self._ask(json.dumps(request).encode() + b"\n", limits.load_s)
        except UpdateError:
            self.close()
            raise

    def look(self, image: Image) -> Glance:
        """See :meth:`agent.update.eyes.Eyes.look`."""
        height, width = image.shape[:2]
        pixels = np.ascontiguousarray(image).tobytes()
        answer = self._ask(json.dumps([height, width]).encode() + b"\n" + pixels, self._limits.look_s)
        found = Detections(
            np.array(answer["boxes"], np.float32).reshape(-1, 4),
            np.array(answer["scores"], np.float32),
            np.array(answer["classes"], np.int64),
        )
        return Glance(found, float(answer["took_s"]))

    def close(self) -> None:
        """See :meth:`agent.update.eyes.Eyes.close`."""
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._answers.close()

    def _ask(self, request: bytes, limit_s: float) -> dict[str, Any]:
        deadline_s = time.monotonic() + limit_s
        self._send(request, deadline_s)
        answer: dict[str, Any] = json.loads(self._receive(deadline_s))
        if "refused" in answer:
            raise UpdateError(answer["refused"], f"{self._name}: {answer['detail']}")
        return answer

    def _send(self, data: bytes, deadline_s: float) -> None:
        pipe = self._requests
        left = memoryview(data)
        while left:
            self._wait(pipe, selectors.EVENT_WRITE, deadline_s)
            try:
                left = left[os.write(pipe.fileno(), left[:_PIPE_BYTES]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return  # it has gone; what it said before is still to be read

    def _receive(self, deadline_s: float) -> bytes:
        pipe = self._answers
        while b"\n" not in self._unread:
            self._wait(pipe, selectors.EVENT_READ, deadline_s)
            data = os.read(pipe.fileno(), _PIPE_BYTES)
            if not data:
                raise self._gone()
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _wait(self, pipe: IO[bytes], event: int, deadline_s: float) -> None:
        """Wait until the pipe is ready; end a child that takes too long or too much."""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            while not selector.select(_POLL_S):
                if self._resident_bytes() > self._limits.memory_bytes:
                    raise self._end("out_of_memory", "it takes more memory than a trial may")
                if time.monotonic() > deadline_s:
                    raise self._end("timed_out", "it did not answer in time")

    def _end(self, kind: Kind, why: str) -> UpdateError:
        self._process.kill()
        return UpdateError(kind, f"{self._name}: {why}; use a smaller model")

    def _gone(self) -> UpdateError:
        """Name the end of a child by how it ended."""
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return UpdateError("out_of_memory", f"{self._name}: the system ended it for want of memory")
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return UpdateError("crashed", f"{self._name}: it crashed ({how}); export it again")

    def _resident_bytes(self) -> int:
        try:
            statm = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii")
        except OSError:
            return 0
        return int(statm.split()[1]) * _PAGE_BYTES


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
            start_new_session=True,  # a Ctrl-C for the agent is not one for the child
        )
    except OSError as error:  # no memory or no process left: no fault of the candidate
        why = f"this box can't start a trial just now: {error.strerror or error}; the next check tries again"
        raise UpdateError("not_now", why) from error
