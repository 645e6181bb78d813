"""The settings of updates: where signed releases come from, and what they may take of this box.

A box without this section never asks anybody for anything.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from agent.config.files import File

_WEB_FOLDER: Final = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"
_EXAMPLE: Final = "write https://models.example.org/kentongan"


def _no_login(value: Any) -> Any:
    if isinstance(value, str) and re.match(r"[a-z]+://[^/]*@", value, re.IGNORECASE):
        raise ValueError(f"url carries a login; serve the folder without one, its files are signed: {_EXAMPLE}")
    return value


def _web_folder(url: str) -> str:
    if re.fullmatch(_WEB_FOLDER, url) is None:
        raise ValueError(f"url is no address of a folder on a web server; {_EXAMPLE}")
    return url


Url: TypeAlias = Annotated[
    str,
    BeforeValidator(_no_login),
    AfterValidator(_web_folder),
    Field(
        description="The published folder; any web server can serve it.",
        json_schema_extra={"pattern": _WEB_FOLDER},
    ),
]
Group: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Update(BaseModel):
    """Signed updates of models and configurations. Needs the extra `update`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    url: Url
    root_file: Annotated[File, Field(description="The root.json that the maintainer hands out: pinned at install.")]
    groups: Annotated[
        tuple[Group, ...], Field(max_length=32, description="Groups of boxes that a rollout may name.")
    ] = ()
    configuration: Annotated[
        bool, Field(description="False: lines and zones are the installer's alone; signed ones are not taken.")
    ] = True
    check_every_s: Annotated[
        int, Field(ge=60, le=604_800, description="A quarter earlier or later by chance; a command asks at once.")
    ] = 3600
    bandwidth_kbit_s: Annotated[int, Field(ge=16, le=1_000_000, description="What a download may take.")] = 4000
    trial_memory_mb: Annotated[int, Field(ge=256, le=65_536, description="What a candidate may take.")] = 1500
    shadow_s: Annotated[int, Field(ge=5, le=604_800, description="Shortest comparison on live frames.")] = 900
    shadow_period_s: Annotated[
        float, Field(ge=0.1, le=60, description="Between two frames that a candidate sees too, in spare time.")
    ] = 1
    shadow_frames: Annotated[int, Field(ge=10, le=100_000, description="Frames that both see at least.")] = 120
    watch_s: Annotated[int, Field(ge=60, le=86_400, description="How long a new model is watched.")] = 900
    broker_s: Annotated[
        int, Field(ge=2, le=3600, description="A signed configuration must keep the broker for so long to stay.")
    ] = 60
