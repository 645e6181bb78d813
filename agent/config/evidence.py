"""The settings of evidence: clips around an alarm, sealed to a public key, that never leave the box by themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from agent.records import EventKind

_PUBLIC: Final = r"^age1[02-9ac-hj-np-z]{58}$"


def _no_secret(value: Any) -> Any:
    if isinstance(value, str) and re.search("AGE-SECRET-KEY", value, re.IGNORECASE):
        raise ValueError(
            "this is a private key; keep it away from the box, make a new pair, and write the public key here (age1…)"
        )
    return value


def _absolute(folder: Path) -> Path:
    if not folder.is_absolute():
        raise ValueError("folder needs an absolute path, such as /var/lib/kentongan/evidence")
    return folder


AgeKey: TypeAlias = Annotated[
    str,
    Field(pattern=_PUBLIC, description="A public key as `age-keygen` prints it: age1 and 58 letters and digits."),
    BeforeValidator(_no_secret),
]
Keys: TypeAlias = Annotated[tuple[AgeKey, ...], Field(min_length=1, max_length=8)]


class EvidencePart(BaseModel):
    """A frozen part of the evidence settings that refuses fields it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Ring(EvidencePart):
    """The last minutes on disk, sealed: for what no alarm told of, and for what comes before a power cut."""

    minutes: Annotated[float, Field(ge=1, le=60)] = 5
    mb: Annotated[int, Field(ge=10, le=100_000, description="For all cameras together.")] = 500


class CameraEvidence(EvidencePart):
    """What is different for one camera."""

    enabled: Annotated[bool, Field(description="False: nothing of this camera is kept.")] = True
    keys: Annotated[Keys | None, Field(description="Its owner's own; instead of the box's.")] = None


class Evidence(EvidencePart):
    """Clips around an alarm, sealed to a public key. They stay on the box until their owner fetches them."""

    keys: Annotated[Keys, Field(description="Whoever holds one of the private keys can open the clips; the box can't.")]
    on: Annotated[tuple[EventKind, ...], Field(min_length=1, description="Events that a clip is kept for.")] = (
        "vandalism",
        "aggression",
        "asset_changed",
        "camera_tampered",
    )
    before_s: Annotated[float, Field(ge=0, le=60, description="Before the event's condition began.")] = 10
    after_s: Annotated[float, Field(ge=1, le=60, description="After the event was told.")] = 20
    fps: Annotated[float, Field(ge=0.5, le=5, description="Pictures a second.")] = 4
    width_px: Annotated[int, Field(ge=160, le=1280, description="Wider pictures are scaled down.")] = 1280
    memory_mb: Annotated[int, Field(ge=4, le=4096, description="For all cameras together, where ring is absent.")] = 64
    ring: Annotated[Ring | None, Field(description="Absent: nothing is written before an event; memory holds it.")] = (
        None
    )
    clips_mb: Annotated[int, Field(ge=10, le=1_000_000, description="The oldest clips go beyond this.")] = 2000
    keep_days: Annotated[float, Field(gt=0, le=3650, description="Older clips go.")] = 30
    folder: Annotated[
        Path | None, AfterValidator(_absolute), Field(description="Default: evidence in state_dir. An absolute path.")
    ] = None
