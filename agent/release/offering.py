"""Puts models and configurations on offer, widens a rollout, takes a release back, and reports how it fares.

Every function stages a change; nothing reaches a box before it is signed and published. Models are judged as strictly
here as on the box, so that a file that a box would refuse never leaves the desk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from tuf.api.metadata import TargetFile, Targets

from agent.errors import ModelError
from agent.release.faults import ReleaseError
from agent.release.refused import refused
from agent.release.workspace import Workspace
from agent.update.golden import read_golden
from agent.update.offer import CUSTOM_KEY, ConfigurationOffer, ModelOffer, Outcomes, Rollout, Tally
from agent.update.offer import read_custom as _read
from agent.update.patch import parse_patch
from agent.update.refusal import UpdateError
from agent.vision.model_file import read_model

_HASHES: Final = ["sha256"]


def model_offers(workspace: Workspace, slot: str | None = None) -> dict[str, ModelOffer]:
    """The models on offer, staged ones included, by target path; of one slot or of all."""
    return {path: offer for path, offer in model_offers_in(workspace.targets()).items() if slot in (None, offer.slot)}


def model_offers_in(targets: Targets) -> dict[str, ModelOffer]:
    """The models that some version of the targets offers, by path."""
    found = {path: target for path, target in targets.targets.items() if path.endswith(".onnx")}
    return {path: _read(ModelOffer, target.custom, path) for path, target in found.items()}


def configuration_offers_in(targets: Targets) -> dict[str, ConfigurationOffer]:
    """The configurations that some version of their targets offers, by path."""
    found = {path: target for path, target in targets.targets.items() if path.startswith("configuration/")}
    return {path: _read(ConfigurationOffer, target.custom, path) for path, target in found.items()}


def add_model(
    workspace: Workspace,
    file: Path,
    *,
    slot: str,
    golden: Path | None = None,
    rollout: Rollout | None = None,
    max_slowdown_percent: int = 300,
    why: str = "",
) -> ModelOffer:
    """Put a model on offer.

    Args:
        workspace: The working folder.
        file: The ONNX file.
        slot: The name of the model in the boxes' configurations.
        golden: Frames with expected detections, as :func:`agent.release.desk.make_golden` writes them.
        rollout: Which boxes may take it.
        max_slowdown_percent: Its time per picture in per cent of the present model's, at most.
        why: What is new.

    Raises:
        ReleaseError: The model or its golden frames are refused.
    """
    try:
        description = read_model(file).description
    except ModelError as error:
        raise ReleaseError(str(error)) from error
    stem = f"models/{slot}/{_file_part(description.name)}-{_file_part(description.version)}-{description.sha256[:8]}"
    golden_path = None if golden is None else f"{stem}.golden"
    try:
        offer = ModelOffer(
            slot=slot,
            name=description.name,
            version=description.version,
            family=description.family.value,
            serial=_next_serial(workspace, slot),
            golden=golden_path,
            max_slowdown_percent=max_slowdown_percent,
            rollout=rollout or Rollout(),
            why=why,
        )
    except ValidationError as error:
        raise refused(error) from error
    targets = workspace.edit("targets", Targets)
    if golden is not None and golden_path is not None:
        _require_golden(golden)
        _put(workspace, targets, golden_path, golden.read_bytes(), {"kind": "golden"})
    _put(workspace, targets, f"{stem}.onnx", file.read_bytes(), _plain(offer))
    workspace.stage("targets", targets)
    return offer


def rollout_of(rules: Mapping[str, Any]) -> Rollout:
    """The rules of a release.

    Raises:
        ReleaseError: They can't be signed.
    """
    try:
        return Rollout.model_validate(dict(rules))
    except ValidationError as error:
        raise refused(error) from error


def add_configuration(
    workspace: Workspace,
    file: Path,
    *,
    device: str | None = None,
    group: str | None = None,
    rollout: Rollout | None = None,
) -> ConfigurationOffer:
    """Put lines, zones and levels on offer for one device or one group.

    Raises:
        ReleaseError: The file is refused, or it is not said for whom it is.
    """
    if (device is None) == (group is None):
        raise ReleaseError("a configuration is for one device or for one group; give --device or --group")
    try:
        data = file.read_bytes()
        parse_patch(data, str(file))
    except OSError as error:
        raise ReleaseError(f"{file} can't be read: {error.strerror}; check its name") from error
    except UpdateError as error:
        raise ReleaseError(str(error)) from error
    path = f"configuration/device/{device}.yaml" if device else f"configuration/group/{group}.yaml"
    targets = workspace.edit("configuration", Targets)
    before = targets.targets.get(path)
    serial = 1 if before is None else int(_read(ConfigurationOffer, before.custom, path).serial) + 1
    offer = ConfigurationOffer(serial=serial, rollout=rollout or Rollout())
    _put(workspace, targets, path, data, _plain(offer))
    workspace.stage("configuration", targets)
    return offer


def change_rollout(workspace: Workspace, slot: str, serial: int, *, again: bool = False, **rules: Any) -> ModelOffer:
    """Change which boxes may take a release.

    Args:
        workspace: The working folder.
        slot: The slot.
        serial: The release.
        again: Let boxes that blocked the file try it once more; this makes it a new release.
        rules: Fields of :class:`agent.update.offer.Rollout` to change; of ``hold`` only those that change.

    Raises:
        ReleaseError: There is no such release, or the rules are refused.
    """
    path, offer = _find(workspace, slot, serial)
    before = offer.rollout.model_dump()
    hold = {**before["hold"], **rules.pop("hold", {})}
    change: dict[str, Any] = {"rollout": rollout_of({**before, **rules, "hold": hold})}
    if again:
        change |= {"again": True, "serial": _next_serial(workspace, slot)}
    return _replace(workspace, {path: offer.model_copy(update=change)})[path]


def withdraw(workspace: Workspace, slot: str, serial: int, why: str, *, back_to: int | None = None) -> list[ModelOffer]:
    """Take a release back; boxes that run it return to what they had, and to ``back_to`` where that is given.

    Args:
        workspace: The working folder.
        slot: The slot.
        serial: The release to take back.
        why: For the people who read the fleet's table.
        back_to: An earlier release that becomes the newest again, on purpose.

    Raises:
        ReleaseError: There is no such release.
    """
    path, offer = _find(workspace, slot, serial)
    changes = {path: _changed(offer, withdrawn=True, why=why)}
    if back_to is not None:
        old_path, old = _find(workspace, slot, back_to)
        if old_path == path or old.withdrawn:
            raise ReleaseError(f"release {back_to} of {slot} is withdrawn itself; name one that is good")
        changes[old_path] = _changed(old, back=True, serial=_next_serial(workspace, slot), why=why)
    return list(_replace(workspace, changes).values())


def report_outcomes(workspace: Workspace, slot: str, by_serial: Mapping[int, tuple[int, int]]) -> None:
    """Sign how releases fared so far, so that boxes can hold one that fails too often; needs only the online key.

    Args:
        workspace: The working folder.
        slot: The slot.
        by_serial: For each release how many boxes tried it, and how many of those refused it or went back.
    """
    outcomes = Outcomes(by_serial={serial: Tally(tried=t, failed=f) for serial, (t, f) in by_serial.items()})
    targets = workspace.edit("outcomes", Targets)
    _put(workspace, targets, f"outcomes/{slot}", b"", _plain(outcomes))
    workspace.stage("outcomes", targets)


def _put(workspace: Workspace, targets: Targets, path: str, data: bytes, custom: dict[str, Any]) -> None:
    target = TargetFile.from_data(path, data, _HASHES)
    target.unrecognized_fields["custom"] = {CUSTOM_KEY: custom}
    targets.targets[path] = target
    if data:
        workspace.write(workspace.files / path, data)


def _replace(workspace: Workspace, offers: Mapping[str, ModelOffer]) -> dict[str, ModelOffer]:
    targets = workspace.edit("targets", Targets)
    for path, offer in offers.items():
        targets.targets[path].unrecognized_fields["custom"] = {CUSTOM_KEY: _plain(offer)}
    workspace.stage("targets", targets)
    return dict(offers)


def _changed(offer: ModelOffer, **changes: Any) -> ModelOffer:
    try:
        return ModelOffer.model_validate({**offer.model_dump(), **changes})
    except ValidationError as error:
        raise refused(error) from error


def _plain(offer: BaseModel) -> Any:
    """As JSON will hold it, so that what is signed here is what is parsed there."""
    return json.loads(offer.model_dump_json())


def _find(workspace: Workspace, slot: str, serial: int) -> tuple[str, ModelOffer]:
    for path, offer in model_offers(workspace, slot).items():
        if offer.serial == serial:
            return path, offer
    known = ", ".join(str(offer.serial) for offer in model_offers(workspace, slot).values()) or "none"
    raise ReleaseError(f"slot {slot} has no release {serial}; it has {known}")


def _next_serial(workspace: Workspace, slot: str) -> int:
    """One above every release there ever was in this slot, staged ones included."""
    return max((offer.serial for offer in model_offers(workspace, slot).values()), default=0) + 1


def _require_golden(golden: Path) -> None:
    try:
        frames = read_golden(golden.read_bytes(), str(golden))
    except OSError as error:
        raise ReleaseError(f"{golden} can't be read: {error.strerror}; check the path") from error
    except UpdateError as error:
        raise ReleaseError(str(error)) from error
    if not any(len(frame.expected) for frame in frames):
        raise ReleaseError(f"{golden} expects nothing to be seen, so a blind model would pass; add frames with traffic")


def _file_part(text: str) -> str:
    """A name that is safe in a path and in an address."""
    return re.sub(r"[^0-9A-Za-z._]+", "-", text).strip("-.") or "model"
