"""Which installation this is, a clone of the repository or an installed package: hints must be true for both.

Knows where what ships beside the code lies, and how an extra is added here. Starts nothing and installs nothing.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parent


def is_clone(package: Path = PACKAGE) -> bool:
    """Whether the code runs from a clone, whose environment ``demo.sh`` and ``test.sh`` set up."""
    return (package.parent / "pyproject.toml").is_file()


def how_to_add(*extras: str, package: Path = PACKAGE) -> str:
    """What to type so that extras are installed here."""
    named = ",".join(extras)
    if is_clone(package):
        return f"in the clone, .venv/bin/pip install -c constraints.txt -e '.[{named}]'"
    return f"{shlex.quote(sys.executable)} -m pip install 'kentongan[{named}]'"


def shipped_folders(name: str, package: Path = PACKAGE) -> tuple[Path, ...]:
    """Where ``models`` or ``configs`` may lie: in the installed package, or in the clone."""
    return (package / "data" / name, package.parent / name)


def example(name: str, package: Path = PACKAGE) -> str:
    """An example of a configuration as a hint may name it: with its folder, where that is not the clone's."""
    installed = shipped_folders("configs", package)[0] / name
    return str(installed) if installed.is_file() else f"configs/{name}"
