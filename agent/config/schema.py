"""What a configuration may say, and the meaning of every field.

These frozen types are the one definition: the loader validates against them, the JSON Schema for editors is
generated from them, and every stage is handed the part that concerns it. Nothing here opens a file but by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, model_validator

from agent.config.evidence import CameraEvidence, Evidence
from agent.config.files import File, beside_the_config
from agent.config.redact import redact
from agent.config.rules import Aggression, Protected, RuleSettings, Tamper, Vandalism
from agent.config.update import Update
from agent.records import ClassName

Name: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="Lower-case letters, digits, - and _; at most 63. It becomes a level of an MQTT topic.",
    ),
]
Point: TypeAlias = Annotated[
    tuple[float, float],
    Field(description="x, y: relative to the picture (0 to 1), or pixels where the camera names its frame_size."),
]
IntervalSeconds: TypeAlias = Literal[10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600]
"""Divisors or multiples of a minute that divide an hour, so that intervals fall on the wall clock."""


def _source_beside_the_config(source: str, info: ValidationInfo) -> str:
    """The same for a source that is a file: it has no ``scheme:`` in front and is no camera's number."""
    is_file = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|[0-9]+$", source) is None
    return str(beside_the_config(Path(source), info)) if is_file else source


class Part(BaseModel):
    """A frozen part of the configuration that refuses fields it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Tls(Part):
    """TLS to the broker. On, verified, 1.2 or newer; the system's certificate authorities unless ca_file is given."""

    ca_file: File | None = None
    cert_file: File | None = None
    key_file: File | None = None

    @model_validator(mode="after")
    def _pair(self) -> Tls:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("a client certificate needs both cert_file and key_file; give both or neither")
        return self


class Login(Part):
    """A user and where the password is: a file only the agent can read, or an environment variable."""

    user: str | None = None
    password_file: File | None = None
    password_env: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Login:
        if self.password_file is not None and self.password_env is not None:
            raise ValueError("give password_file or password_env, not both")
        return self


class Mqtt(Part):
    """The broker of the traffic management centre."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 8883
    tls: Tls = Tls()
    plaintext: Annotated[bool, Field(description="True sends without TLS: for a broker on this very box only.")] = False
    login: Login = Login()
    delivery: Annotated[
        Literal["broker", "application"],
        Field(description="broker: done at PUBACK. application: done when the receiver's ack covers the seq."),
    ] = "broker"
    protocol: Literal["5", "3.1.1"] = "5"
    keepalive_s: Annotated[int, Field(ge=5, le=600)] = 30
    in_flight: Annotated[int, Field(ge=1, le=1000, description="Records sent and not yet acknowledged.")] = 64
    backfill_per_s: Annotated[float, Field(gt=0, le=10_000, description="Pace of a backlog, records a second.")] = 200


class Outbox(Part):
    """The store on disk that holds records until they are delivered."""

    max_mb: Annotated[int, Field(ge=1, le=100_000)] = 1024
    commit_ms: Annotated[int, Field(ge=10, le=5000, description="Longest wait before a record is durable.")] = 50


class Model(Part):
    """A detection model: one ONNX file. The lower fields are for foreign files without a description of their own."""

    file: File
    threads: Annotated[int, Field(ge=0, le=64, description="0 leaves the choice to the agent.")] = 0
    score: Annotated[float | None, Field(gt=0, lt=1)] = None
    nms_iou: Annotated[float | None, Field(gt=0, lt=1)] = None
    providers: tuple[Literal["tensorrt", "cuda", "openvino", "xnnpack", "cpu"], ...] | None = None
    family: Literal["yolo", "yolo-end2end", "yolox", "detr"] | None = None
    labels: Annotated[
        Literal["coco"] | tuple[str, ...] | None,
        Field(description='"coco", or the names of the outputs in order'),
    ] = None
    color: Literal["RGB", "BGR"] | None = None
    scale: Literal["0..1", "0..255", "imagenet"] | None = None


class Line(Part):
    """A counting line from its first point to its second; a_to_b is from its left-hand side to its right-hand side."""

    name: Name
    points: tuple[Point, Point]
    interval_s: IntervalSeconds = 60
    classes: Annotated[tuple[ClassName, ...] | None, Field(min_length=1, description="Default: all.")] = None
    a_to_b: Annotated[str | None, Field(max_length=80, description="What this direction is called: 'to Klaten'.")] = (
        None
    )
    b_to_a: Annotated[str | None, Field(max_length=80)] = None
    road: Annotated[Name | None, Field(description="Road type in pcu: which table of PCU factors.")] = None


class Zone(Part):
    """A polygon on the ground, and the rules that watch it."""

    name: Name
    polygon: Annotated[tuple[Point, ...], Field(min_length=3, max_length=64)]
    interval_s: IntervalSeconds = 60
    classes: Annotated[tuple[ClassName, ...] | None, Field(min_length=1)] = None
    lanes: Annotated[int, Field(ge=1, le=20, description="For the level of service, which is by lane.")] = 1
    rules: RuleSettings = RuleSettings()


Asset: TypeAlias = Literal["cabinet", "lamp", "sign", "bench", "manhole", "wall", "atm", "floor", "other"]


class ProtectedRegion(Protected):
    """Public property, by its outline in the picture: close around it; of a floor, the part to keep clear."""

    name: Name
    polygon: Annotated[tuple[Point, ...], Field(min_length=3, max_length=64)]
    what: Annotated[Asset, Field(description="What it is: it decides what a change of it is called.")] = "other"


class GroundPoint(Part):
    """A point in the picture and the same point on the road, in metres from any origin."""

    image: Point
    metres: tuple[float, float]


class LaneEdges(Part):
    """A straight stretch of road by its two edges, each from its near to its far end, in the picture."""

    left: tuple[Point, Point]
    right: tuple[Point, Point]
    width_m: Annotated[float, Field(gt=0, le=200, description="Between the two edges: lanes times their width.")]
    length_m: Annotated[float, Field(gt=0, le=1000, description="From the near ends to the far ends.")]

    def points(self) -> tuple[GroundPoint, ...]:
        """The four ends as points of the road."""
        (near_left, far_left), (near_right, far_right) = self.left, self.right
        ends = (near_left, (0.0, 0.0)), (near_right, (self.width_m, 0.0))
        far_ends = (far_right, (self.width_m, -self.length_m)), (far_left, (0.0, -self.length_m))
        return tuple(GroundPoint(image=image, metres=metres) for image, metres in (*ends, *far_ends))


class Ground(Part):
    """The plane of the road, from four or more points or from its lanes; without it speeds and lengths are absent."""

    points: Annotated[tuple[GroundPoint, ...], Field(max_length=64)] = ()
    lanes: LaneEdges | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Ground:
        if self.lanes is not None and not self.points:
            object.__setattr__(self, "points", self.lanes.points())  # frozen from here on
        elif self.lanes is not None and self.points != self.lanes.points():
            raise ValueError("ground needs points or lanes, not both; delete one")
        if len(self.points) < 4:
            raise ValueError(f"ground needs four or more points, not {len(self.points)}; add points, or give lanes")
        return self


class Camera(Part):
    """One camera: where its video comes from, where it stands, and what to look for."""

    name: Name
    source: Annotated[
        str,
        Field(min_length=1, description="rtsp://…, a file, /dev/video0, or gst: and a pipeline"),
        AfterValidator(_source_beside_the_config),
    ]
    login: Login = Login()
    transport: Literal["tcp", "udp"] = "tcp"
    place: Annotated[str | None, Field(max_length=200)] = None
    latitude: Annotated[float | None, Field(ge=-90, le=90)] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180)] = None
    heading_deg: Annotated[float | None, Field(ge=0, lt=360)] = None
    field_of_view_deg: Annotated[float | None, Field(gt=0, le=360)] = None
    owner: Annotated[str | None, Field(max_length=200)] = None
    model: Name = "street"
    detect_fps: Annotated[float, Field(gt=0, le=60)] = 10
    frame_size: Annotated[
        tuple[Annotated[int, Field(ge=16, le=16384)], Annotated[int, Field(ge=16, le=16384)]] | None,
        Field(description="Width and height that pixel coordinates below refer to."),
    ] = None
    identical_s: Annotated[
        float,
        Field(
            ge=1,
            le=3600,
            description="Bit-identical pictures for longer than this mean a frozen camera. 3.5 lets one be told within "
            "5 s; set more for a camera whose codec repeats a still picture.",
        ),
    ] = 3.5
    lines: Annotated[tuple[Line, ...], Field(max_length=64)] = ()
    zones: Annotated[tuple[Zone, ...], Field(max_length=64)] = ()
    protected: Annotated[
        tuple[ProtectedRegion, ...], Field(max_length=16, description="Things whose damage or theft is told.")
    ] = ()
    ground: Ground | None = None
    tamper: Tamper = Tamper()
    aggression: Annotated[Aggression | None, Field(description="Absent: off.")] = None
    vandalism: Vandalism = Vandalism()
    second_look: Annotated[
        bool,
        Field(
            description="Where a crowd or surge is watched for and people are small or many, look again in tiles, "
            "about once a second, while the box has time left."
        ),
    ] = True
    evidence: CameraEvidence = CameraEvidence()
    pcu: Annotated[
        dict[Name, dict[ClassName, Annotated[float, Field(ge=0, le=100)]]],
        Field(description="PCU factors by road type and class, besides or instead of the manual's."),
    ] = Field(default_factory=dict)

    @property
    def fuses_vandalism(self) -> bool:
        """Whether signs of vandalism make one alarm: where there is more to fuse than attacks on the camera."""
        return self.vandalism.enabled and (bool(self.protected) or self.aggression is not None)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for key, value in super().__repr_args__():
            yield key, redact(value) if key == "source" else value


def _unique(cameras: tuple[Camera, ...]) -> tuple[Camera, ...]:
    names = [camera.name for camera in cameras]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two cameras are called {twice[0]!r}; give each its own name")
    return cameras


class Config(Part):
    """The whole configuration of one box."""

    device: Annotated[Name, Field(description="The box's name and its MQTT user.")]
    place: Annotated[str | None, Field(max_length=200)] = None
    state_dir: File = Path("/var/lib/kentongan")
    mqtt: Mqtt
    outbox: Outbox = Outbox()
    models: dict[Name, Model] = Field(default_factory=dict, description="Default: 'street', the one that ships.")
    cameras: Annotated[tuple[Camera, ...], Field(min_length=1, max_length=64), AfterValidator(_unique)]
    health_s: Annotated[int, Field(ge=5, le=3600)] = 60
    evidence: Annotated[Evidence | None, Field(description="Absent: off.")] = None
    update: Annotated[Update | None, Field(description="Absent: nobody is asked for anything.")] = None


class Secrets(BaseModel):
    """Passwords once read; their repr never shows them."""

    model_config = ConfigDict(frozen=True)
    mqtt: SecretStr | None = None
    cameras: dict[str, SecretStr] = Field(default_factory=dict)
