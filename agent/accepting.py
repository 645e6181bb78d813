"""The command by which an operator says that a protected region may look as it does: a new sign, another bench.

It comes over MQTT like every command, may be sent by whoever may send any, and changes nothing but what one region
is compared with from the next look on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from agent.errors import KentonganError
from agent.mqtt.commands import Order
from agent.pipeline import CameraPipeline
from agent.records import Scalar

_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class AcceptArgs:
    """Which camera, and which of its protected regions."""

    camera: str
    region: str


def accept_orders(pipelines: Callable[[], Sequence[CameraPipeline]]) -> tuple[Order, ...]:
    """The command ``accept`` for some cameras, asked for when it comes."""

    def accept(args: AcceptArgs) -> Mapping[str, Scalar]:
        pipeline = next((each for each in pipelines() if each.camera.name == args.camera), None)
        if pipeline is None:
            raise KentonganError("accept: this box has no such camera; birth names those it has")
        if not pipeline.accept(args.region):
            known = ", ".join(region.name for region in pipeline.camera.protected) or "none"
            raise KentonganError(f"accept: the camera has no such protected region; it has {known}")
        return {"accepted": True}

    return (Order("accept", AcceptArgs, accept),)
