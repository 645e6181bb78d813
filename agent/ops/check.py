"""`kentongan check`: says everything that is wrong with a configuration before a street depends on it.

Errors are what can't work, warnings what will work badly; each with file, line and what to do. With --live the cameras,
the broker and the update server are asked too; with --plot a picture shows what was understood. Changes nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2

from agent.config.document import parse, read_text
from agent.config.fault import FaultyConfigError
from agent.config.load import load_config
from agent.config.schema import Camera, Config, Secrets
from agent.config.secrets import load_secrets
from agent.config.understood import understood
from agent.errors import ConfigError, KentonganError
from agent.ops.assets import example_configs
from agent.ops.check_filled_in import check_filled_in
from agent.ops.check_geometry import USUAL_SIZE, check_geometry, errors_of
from agent.ops.check_live import check_broker, grab, is_remote, judge_probe, probe_cameras, recording
from agent.ops.check_site import check_site
from agent.ops.check_update import check_update_server
from agent.ops.draw import blank, draw_geometry, draw_panel
from agent.ops.findings import Finding, Level
from agent.ops.framing import framed
from agent.values import Image
from agent.video.probe import Probe

_PANEL_ROWS: Final = 8


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("config", type=Path, help="the configuration, a YAML file")
    parser.add_argument(
        "--live", action="store_true", help="also ask every camera for a picture, the broker, and the update server"
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw what was understood, one picture per camera")


def execute(args: argparse.Namespace) -> int:
    """Check, and say what was found."""
    return run_check(args.config, live=args.live, plot=args.plot)


def check(config: Config, *, file: Path | None = None, live: bool = False) -> list[Finding]:
    """Everything wrong with a configuration that the loader let through, errors first.

    Args:
        config: The configuration.
        file: Where it was read, to judge who else may read it.
        live: Ask the cameras, the broker and the update server as well.
    """
    secrets = _secrets(config)
    probes = probe_cameras(tuple(camera for camera in config.cameras if _may_ask(camera, live=live)), secrets)
    findings = check_site(config, file)
    for number, camera in enumerate(config.cameras):
        seen = probes.get(camera.name)
        findings += judge_probe(camera, number, seen) if seen is not None else []
        findings += check_geometry(camera, ("cameras", number), _size(seen))
    if live:
        findings += check_broker(config, secrets)
        findings += check_update_server(config)
    return _errors_first(findings)


def _errors_first(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: finding.level is not Level.ERROR)


def run_check(path: Path, *, live: bool = False, plot: Path | None = None) -> int:
    """Check a file and print what was found, what was never filled in first.

    Returns:
        0 when nothing is an error, 78 (EX_CONFIG) otherwise.

    Raises:
        ConfigError: The loader refuses the file; the message lists its faults.
        KentonganError: The picture can't be written.
    """
    try:
        config = load_config(path)
    except FaultyConfigError as error:
        if plot is not None:
            _draw_refused(path, error, plot, live=live)
        raise
    text = read_text(path)
    document = parse(text, str(path))
    findings = check_filled_in(text, document, [read_text(each) for each in example_configs()])
    findings = _errors_first([*findings, *check(config, file=path, live=live)])
    for finding in findings:
        print(f"{path}:{document.mark(finding.path).line}: {finding.level}: {finding.text()}")
    if plot is not None:
        for written in draw_config(config, findings, plot, live=live):
            print(f"drawn: {written}")
    errors = len(errors_of(findings))
    print(_summary(config, errors, len(findings) - errors))
    return ConfigError.exit_code if errors else 0


def _draw_refused(path: Path, error: FaultyConfigError, plot: Path, *, live: bool) -> None:
    """Draw what can be understood of a refused configuration, with its faults."""
    config = understood(read_text(path), str(path), folder=path.absolute().parent)
    if config is None:
        print(f"nothing is drawn: no camera of {path} can be understood")
        return
    faults = [f"error: {fault.wrong}" for fault in error.faults]
    for written in draw_config(config, [], plot, live=live, faults=faults):
        print(f"drawn, without what is wrong: {written}")


def draw_config(
    config: Config, findings: list[Finding], png: Path, *, live: bool = False, faults: Sequence[str] = ()
) -> list[Path]:
    """Draw every camera's lines, zones and calibration on one of its frames, or on a blank picture.

    Args:
        config: The configuration.
        findings: Those about a camera are written onto its picture.
        png: The picture's name; with several cameras each camera's name is added to it.
        live: Ask cameras for a frame; otherwise only recordings give one.
        faults: What the configuration was refused for; written onto every picture.

    Returns:
        The pictures written.

    Raises:
        KentonganError: A picture can't be written.
    """
    secrets = _secrets(config)
    paths = []
    for number, camera in enumerate(config.cameras):
        picture = grab(camera, secrets) if _may_ask(camera, live=live) else None
        if picture is None:
            picture = blank(*(camera.frame_size or USUAL_SIZE))
        picture, drawn = framed(picture, camera)
        draw_geometry(picture, drawn)
        own = [*faults] + [f"{f.level}: {f.wrong}" for f in findings if f.path[:2] == ("cameras", number)]
        draw_panel(picture, [f"{config.device} / {camera.name}", *own[:_PANEL_ROWS]])
        path = png if len(config.cameras) == 1 else png.with_name(f"{png.stem}-{camera.name}{png.suffix}")
        _write(path, picture)
        paths.append(path)
    return paths


def _write(path: Path, picture: Image) -> None:
    try:
        written = cv2.imwrite(str(path), picture)
    except cv2.error:  # a name without an ending that OpenCV knows
        written = False
    if not written:
        raise KentonganError(f"{path} can't be written as a picture; let its name end in .png, in a folder that exists")


def _secrets(config: Config) -> Secrets:
    """The passwords where they can be had; what is wrong with them is told among the findings."""
    try:
        return load_secrets(config)
    except ConfigError:
        return Secrets()


def _may_ask(camera: Camera, *, live: bool) -> bool:
    """Whether a camera may be opened: recordings always, the others only when asked to."""
    return recording(camera) is not None or (live and is_remote(camera))


def _size(seen: Probe | None) -> tuple[int, int] | None:
    return (seen.width_px, seen.height_px) if seen is not None and seen.ok else None


def _summary(config: Config, errors: int, warnings: int) -> str:
    lines = sum(len(camera.lines) for camera in config.cameras)
    zones = sum(len(camera.zones) for camera in config.cameras)
    what = f"{_count(len(config.cameras), 'camera')}, {_count(lines, 'line')}, {_count(zones, 'zone')}"
    if errors or warnings:
        return f"{what}: {_count(errors, 'error')}, {_count(warnings, 'warning')}"
    return f"{what}: nothing is wrong"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
