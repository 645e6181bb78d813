"""A wall clock that a test sets, for a real process: libfaketime, and a little library for what that leaves out.

Promises that monotonic clocks and every kind of sleep go on as they are. Needs the ``faketime`` package and a compiler.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("set_clock.c")
_COMPILE_S: Final = 60


def _library() -> Path | None:
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def why_unavailable() -> str:
    """Why no process can be given such a clock; empty when one can."""
    if _library() is None:
        return "no libfaketime: install the package faketime"
    if shutil.which("cc") is None:
        return "no C compiler: install the package gcc"
    return ""


class WallClock:
    """The wall clock of the processes that run with :attr:`environ`.

    Args:
        folder: Where its files go.
        behind: How far it is behind at first, as libfaketime writes it: ``4y`` for four years.
    """

    def __init__(self, folder: Path, behind: str) -> None:
        self._setting, self._synced = folder / "clock", folder / "ntp-synced"
        self._setting.write_text(f"-{behind}\n", encoding="ascii")
        ours = folder / "set_clock.so"
        words = ["cc", "-shared", "-fPIC", "-nostdlib", "-O1", "-o", str(ours), str(_SOURCE)]
        subprocess.run(words, check=True, timeout=_COMPILE_S)
        self.environ = {
            "LD_PRELOAD": f"{ours}:{_library()}",
            "FAKETIME_TIMESTAMP_FILE": str(self._setting),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NTP_SYNCED": str(self._synced),
        }

    def set_right(self) -> None:
        """What an NTP client does when the network comes: step the clock to the true time, and say that it is right."""
        self._setting.write_text("+0\n", encoding="ascii")
        self._synced.touch()
