"""Hints are true where the code runs: in a clone, and from an installed package."""

from __future__ import annotations

import sys
from pathlib import Path

from agent.installation import PACKAGE, example, how_to_add, is_clone, shipped_folders


def installed(site: Path) -> Path:
    """A package as an installer lays it out."""
    package = site / "agent"
    (package / "data" / "configs").mkdir(parents=True)
    (package / "data" / "configs" / "one-camera.yaml").write_text("device: box\n")
    return package


def test_given_a_clone_then_hints_are_for_its_own_environment() -> None:
    assert is_clone()
    assert how_to_add("demo", "report") == (
        "in the clone, .venv/bin/pip install -c constraints.txt -e '.[demo,report]'"
    )
    assert example("one-camera.yaml") == "configs/one-camera.yaml"
    assert (PACKAGE.parent / example("one-camera.yaml")).is_file()


def test_given_an_installed_package_then_hints_speak_of_no_clone(tmp_path: Path) -> None:
    package = installed(tmp_path)
    assert not is_clone(package)
    assert how_to_add("update", package=package) == f"{sys.executable} -m pip install 'kentongan[update]'"
    assert example("one-camera.yaml", package) == str(shipped_folders("configs", package)[0] / "one-camera.yaml")
