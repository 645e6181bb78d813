"""Who else may read or change what this box keeps: looked at when it is checked and whenever it starts.

Promises to name every file and folder with its permissions and the command that mends them. What holds nothing but a
secret is refused elsewhere (:mod:`agent.config.secrets`); here are warnings, for what may be meant so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_IMODE, S_ISVTX
from typing import Final

from agent.config.schema import Config
from agent.config.secrets import exposed_passwords

_CHANGED_BY_OTHERS: Final = 0o002


@dataclass(frozen=True, slots=True)
class Laxity:
    """A permission that is wider than it should be.

    Attributes:
        wrong: What is wrong, and where.
        hint: What to do.
        is_about_state: About the state folder, and not the configuration's own file.
    """

    wrong: str
    hint: str
    is_about_state: bool = False

    def __str__(self) -> str:
        return f"{self.wrong}; {self.hint}"


def laxities(config: Config, file: Path) -> Iterator[Laxity]:
    """Every permission that lets others read a secret, or change what the box does or keeps.

    Args:
        config: The configuration.
        file: Where it was read from.
    """
    for name in exposed_passwords(config, file):
        wrong = f"the password of camera {name} stands in a file that others may read"
        yield Laxity(wrong, f"chmod 600 {file}, or move it to login.password_file")
    mode = S_IMODE(file.stat().st_mode)
    if mode & _CHANGED_BY_OTHERS:
        wrong = f"anybody on this machine may change {file} (mode {mode:04o}), and with it where records go"
        yield Laxity(wrong, f"chmod o-w {file}")
    if config.update is not None:
        yield from _of_the_root(config.update.root_file)
    folder = config.state_dir
    if folder.is_dir() and (mode := S_IMODE(folder.stat().st_mode)) & _CHANGED_BY_OTHERS:
        wrong = f"anybody on this machine may delete what waits in {folder} (mode {mode:04o})"
        yield Laxity(wrong, f"chmod 700 {folder}", is_about_state=True)


def _of_the_root(root: Path) -> Iterator[Laxity]:
    """Whoever may change the pinned root, or put another in its place, decides whose models this box believes."""
    for place in (root, root.absolute().parent):
        try:
            mode = S_IMODE(place.stat().st_mode)
        except OSError:  # what is not there is told where it is read
            continue
        if mode & _CHANGED_BY_OTHERS and not (place.is_dir() and mode & S_ISVTX):
            wrong = (
                f"anybody on this machine may change {place} (mode {mode:04o}), and with it whose models are believed"
            )
            yield Laxity(wrong, f"chmod o-w {place}")
