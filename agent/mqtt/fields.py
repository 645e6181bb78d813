"""The kinds of fields that messages are made of, each with its bounds.

Beside those that records have already, in :mod:`agent.records`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field

FROZEN: Final = ConfigDict(extra="forbid", allow_inf_nan=False)
"""Of every message: a field that this version doesn't know is refused."""

Version: TypeAlias = Literal[1]
Uuid: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
WireName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Sentence: TypeAlias = Annotated[str, Field(max_length=1000)]
CommandName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$")]
CommandId: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]
ArgScalar: TypeAlias = Annotated[str, Field(max_length=4096)] | bool | int | float
LinkStatus: TypeAlias = Literal["online", "stopped", "offline"]
CameraStatus: TypeAlias = Literal["starting", "live", "frozen", "lost", "stopped"]
