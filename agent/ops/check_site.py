"""What a configuration needs from the machine it runs on: files, models, passwords, a place for its state.

Reads what it must and nothing more: no camera and no broker is spoken to. Every finding says what to do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Final

from agent.config.fault import Path
from agent.config.permissions import laxities
from agent.config.schema import Camera, Config, Line, Model, Zone
from agent.config.secrets import load_secrets
from agent.errors import ConfigError, ModelError, SourceError
from agent.mqtt.credentials import plaintext_warning, tls_context
from agent.ops.assets import AGGRESSION_MODEL, default_model, shipped
from agent.ops.check_evidence import check_evidence
from agent.ops.check_update import check_update
from agent.ops.findings import Finding, Level
from agent.scene.scene import Scene
from agent.video.address import Kind, parse_address
from agent.vision.aggression import AggressionModel
from agent.vision.describe import ForeignModel
from agent.vision.description import ModelDescription
from agent.vision.model_file import read_model

SERVICE_STATE_DIR: Final = FilePath("/var/lib/kentongan")
LEAST_DETECT_FPS: Final = 8.0
"""Detections a second that tracking street traffic needs; below, every interval says low_rate."""
_PLAINTEXT_PORT: Final = 1883
_TLS_PORT: Final = 8883


def may_write(folder: FilePath) -> bool:
    """Whether this user may make files in a folder."""
    return os.access(folder, os.W_OK | os.X_OK)


def check_site(
    config: Config,
    file: FilePath | None = None,
    environ: Mapping[str, str] | None = None,
    writable: Callable[[FilePath], bool] = may_write,
) -> list[Finding]:
    """Everything this machine lacks for a configuration.

    Args:
        config: The configuration.
        file: Where it was read, to judge who else may read it.
        environ: The environment; that of the process by default.
        writable: Whether files can be made in a folder.
    """
    findings = [*_broker(config), *_passwords(config, environ), *_state_dir(config, writable)]
    if file is not None:
        findings += [
            Finding(Level.WARNING, ("state_dir",) if lax.is_about_state else (), lax.wrong, lax.hint)
            for lax in laxities(config, file)
        ]
    described = {}
    for name in dict.fromkeys(camera.model for camera in config.cameras):
        try:
            described[name] = describe_model(name, config)
        except ModelError as error:
            findings.append(Finding(Level.ERROR, ("models", name), *_split(error)))
    findings += [
        Finding(Level.WARNING, ("models", name), f"model {name} is used by no camera", "delete it, or name it there")
        for name in config.models
        if all(camera.model != name for camera in config.cameras)
    ]
    findings += check_evidence(config, writable)
    findings += check_update(config)
    for number, camera in enumerate(config.cameras):
        findings += _camera(camera, number, described.get(camera.model))
    return findings


def describe_model(name: str, config: Config) -> ModelDescription:
    """The description of a configured model, or of the one that ships where none of that name is configured.

    Raises:
        ModelError: Its file is missing or refused.
    """
    model = config.models.get(name) or Model(file=default_model())
    foreign = ForeignModel(family=model.family, labels=model.labels, color=model.color, scale=model.scale)
    return read_model(model.file, foreign).description


def _split(error: Exception) -> tuple[str, str]:
    """The two halves of one of our sentences: what is wrong, and what to do."""
    wrong, _, hint = str(error).partition("; ")
    return wrong, hint or "correct it and check again"


def _broker(config: Config) -> Iterator[Finding]:
    mqtt = config.mqtt
    warning = plaintext_warning(mqtt)
    if warning is not None:
        yield Finding(Level.WARNING, ("mqtt", "plaintext"), *_split(ValueError(warning)))
    if not mqtt.plaintext:
        if mqtt.port == _PLAINTEXT_PORT:
            wrong = f"port {_PLAINTEXT_PORT} speaks no TLS on nearly all brokers"
            yield Finding(
                Level.WARNING, ("mqtt", "port"), wrong, f"write {_TLS_PORT}, or for localhost plaintext: true"
            )
        try:
            tls_context(mqtt.tls)
        except ConfigError as error:
            yield Finding(Level.ERROR, ("mqtt", "tls"), *_split(error))
    elif mqtt.port == _TLS_PORT:
        wrong = f"port {_TLS_PORT} wants TLS on nearly all brokers, but plaintext is true"
        yield Finding(Level.WARNING, ("mqtt", "port"), wrong, f"write {_PLAINTEXT_PORT}, or delete plaintext")


def _passwords(config: Config, environ: Mapping[str, str] | None) -> Iterator[Finding]:
    try:
        load_secrets(config, environ)
    except ConfigError as error:
        for sentence in str(error).splitlines():
            # The service may be given variables that this shell does not have.
            level = Level.WARNING if "password_env" in sentence else Level.ERROR
            yield Finding(level, _secret_path(sentence, config), *_split(ValueError(sentence)))


def _secret_path(sentence: str, config: Config) -> Path:
    """Where the secret is named that a sentence of the loader's is about."""
    place = sentence.partition(":")[0]
    for number, camera in enumerate(config.cameras):
        if place == f"cameras[{camera.name}].login":
            return ("cameras", number, "login")
    return tuple(place.split("."))


def _state_dir(config: Config, writable: Callable[[FilePath], bool]) -> Iterator[Finding]:
    folder = config.state_dir
    path = ("state_dir",)
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir():
        yield Finding(Level.ERROR, path, f"{folder} can't be a folder: {nearest} is a file", "name another folder")
    elif not writable(nearest):
        by_service = folder == SERVICE_STATE_DIR
        wrong = f"{folder} can't be written by this user"
        hint = "the service makes it and owns it; for a run by hand name another" if by_service else "change its owner"
        yield Finding(Level.WARNING if by_service else Level.ERROR, path, wrong, hint)
    elif shutil.disk_usage(nearest).free < config.outbox.max_mb * 1_000_000:
        wrong = f"the disk of {folder} has less room than outbox.max_mb ({config.outbox.max_mb} MB)"
        yield Finding(Level.WARNING, ("outbox", "max_mb"), wrong, "make room, or lower it")


def _camera(camera: Camera, number: int, model: ModelDescription | None) -> Iterator[Finding]:
    path = ("cameras", number)
    if camera.detect_fps < LEAST_DETECT_FPS:
        wrong = f"camera {camera.name} is looked at {camera.detect_fps:g} times a second; tracking needs 8"
        yield Finding(Level.WARNING, (*path, "detect_fps"), wrong, "write at least 8, or expect low_rate in intervals")
    if not camera.lines and not camera.zones:
        wrong = f"camera {camera.name} has no lines and no zones, so it counts nothing"
        yield Finding(Level.WARNING, path, wrong, "add a line or a zone")
    yield from _source(camera, (*path, "source"))
    if model is not None:
        yield from _classes(camera, path, model)
    yield from _scene(camera, path)
    if camera.aggression is not None:
        try:
            AggressionModel(camera.aggression.model or shipped(AGGRESSION_MODEL))
        except ModelError as error:
            yield Finding(Level.ERROR, (*path, "aggression"), *_split(error))


def _source(camera: Camera, path: Path) -> Iterator[Finding]:
    try:
        address = parse_address(camera.source)
    except SourceError as error:
        yield Finding(Level.ERROR, path, *_split(error))
        return
    if address.kind is Kind.FILE and not FilePath(address.location).expanduser().is_file():
        yield Finding(Level.ERROR, path, f"the video {address.shown} does not exist", "check its name and its folder")
    if address.kind is Kind.DEVICE and not FilePath(address.location).exists():
        yield Finding(Level.WARNING, path, f"{address.shown} is not plugged in", "look at ls /dev/video*")


def _classes(camera: Camera, path: Path, model: ModelDescription) -> Iterator[Finding]:
    """A line for a class that the model never says would silently count nothing."""
    known = {user.label for user in model.classes if user is not None}
    lines: list[tuple[Path, Line | Zone]] = [((*path, "lines", n), line) for n, line in enumerate(camera.lines)]
    zones: list[tuple[Path, Line | Zone]] = [((*path, "zones", n), zone) for n, zone in enumerate(camera.zones)]
    for place, part in (*lines, *zones):
        missing = [name for name in part.classes or () if name not in known]
        if missing:
            none_left = len(missing) == len(part.classes or ())
            wrong = f"{part.name} watches {', '.join(missing)}, which model {model.name} never says"
            hint = f"write some of {', '.join(sorted(known))}, or use another model"
            level = Level.ERROR if none_left else Level.WARNING
            yield Finding(level, (*place, "classes"), wrong, hint)


def _scene(camera: Camera, path: Path) -> Iterator[Finding]:
    """What the scene itself refuses, such as a road type without a table; its calibration is judged elsewhere."""
    try:
        Scene(camera.model_copy(update={"ground": None}), device="check", model=None)
    except ConfigError as error:
        yield Finding(Level.ERROR, path, *_split(error))
