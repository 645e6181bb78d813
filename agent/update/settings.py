"""The configuration of updates: where signed releases come from, and what they may take of this box.

A box without this section never asks anybody for anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Group = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class UpdateSettings(BaseModel):
    """Signed updates of models and configurations."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    url: Annotated[
        str,
        Field(
            pattern=r"^https?://[^\s/?#]+[^\s?#]*$", description="The published folder; any web server can serve it."
        ),
    ]
    root_file: Annotated[Path, Field(description="The root metadata the maintainer hands out: pinned at install.")]
    groups: Annotated[
        tuple[_Group, ...], Field(max_length=32, description="Groups of boxes that a rollout may name.")
    ] = ()
    check_every_s: Annotated[int, Field(ge=60, le=604_800)] = 3600
    bandwidth_kbit_s: Annotated[int, Field(ge=16, le=1_000_000)] = 4000
    trial_memory_mb: Annotated[int, Field(ge=256, le=65_536)] = 1500
    shadow_s: Annotated[int, Field(ge=10, le=604_800, description="Shortest comparison on live frames.")] = 900
    watch_s: Annotated[int, Field(ge=60, le=86_400, description="How long a new model is watched.")] = 900
