#!/usr/bin/env python3
"""The agent's own updater behind the command line of the TUF client conformance suite.

Run the suite from a checkout of theupdateframework/tuf-conformance, beside this project:
``pytest tuf_conformance --entrypoint "python .../tests/tuf_conformance_client.py"``. See docs/updating-models.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tuf.ngclient import UpdaterConfig

from agent.update.refusal import UpdateError
from agent.update.repository import SignedRepository


def _pinned(metadata_dir: Path) -> Path:
    return metadata_dir / "pinned" / "root"


def _repository(args: argparse.Namespace) -> SignedRepository:
    """The updater, told to keep its metadata where the suite looks for it."""
    home = args.metadata_dir.parent / "updater"
    home.mkdir(exist_ok=True)
    if not (home / "metadata").exists():
        (home / "metadata").symlink_to(args.metadata_dir)
    return SignedRepository(
        args.metadata_url,
        home,
        _pinned(args.metadata_dir).read_bytes(),
        config=UpdaterConfig(),  # the suite measures the limits of the specification, not those of a small box
        metadata_url=args.metadata_url,
        targets_url=args.target_base_url,
    )


def initialise(args: argparse.Namespace) -> None:
    _pinned(args.metadata_dir).parent.mkdir()
    _pinned(args.metadata_dir).write_bytes(args.trusted_root.read_bytes())


def refresh(args: argparse.Namespace) -> None:
    repository = _repository(args)
    try:
        repository.refresh()
    finally:
        repository.close()


def download(args: argparse.Namespace) -> None:
    repository = _repository(args)
    try:
        repository.refresh()
        for name in args.target_name:
            found = repository.find(name)
            if found is None:
                raise UpdateError("vanished", f"{name} is not in the repository")
            place = args.target_dir / quote(name, "")
            if not repository.has(found, place):
                repository.download(found, place)
    finally:
        repository.close()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metadata-url", default="http://localhost/")
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-dir", type=Path)
    parser.add_argument("--target-base-url", default="http://localhost/targets/")
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("init")
    first.add_argument("trusted_root", type=Path)
    first.set_defaults(execute=initialise)
    commands.add_parser("refresh").set_defaults(execute=refresh)
    commands.add_parser("download").set_defaults(execute=download)
    args = parser.parse_args(argv)
    try:
        args.execute(args)
    except UpdateError as error:
        print(f"{error.kind}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
