"""The settings of the scene rules that watch a zone, one frozen type a rule.

A rule that is absent is off. Every number has its unit in its name.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RuleSettings(BaseModel):
    """Which rules watch a zone, and their levels."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
