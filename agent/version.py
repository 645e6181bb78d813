"""The version of the agent, as it is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _installed() -> str:
    try:
        return version("kentongan")
    except PackageNotFoundError:
        return "0+unknown"


VERSION: Final = _installed()
