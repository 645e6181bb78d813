"""`kentongan evidence`: for the owner of the clips. Lists what a box keeps, proves where a clip comes from, opens it.

Never sends anything and never changes a clip. Opening needs the private key, which does not belong on a box: copy the
clip to where the key is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from agent.config.load import load_config
from agent.errors import EvidenceError, OutputError
from agent.evidence.avi import unpack
from agent.evidence.folder import EvidenceFolder
from agent.evidence.sealing import new_key, open_sealed
from agent.records import utc_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what a box keeps, and since when")
    listing.add_argument("place", type=Path, help="the box's configuration, or its evidence folder")
    verifying = actions.add_parser("verify", help="is this the clip that the traffic management centre was told of?")
    verifying.add_argument("clip", type=Path)
    recorded = verifying.add_mutually_exclusive_group(required=True)
    recorded.add_argument("--sha256", help="as the event says")
    recorded.add_argument("--store", type=Path, help="the SQLite file of `kentongan receive`")
    opening = actions.add_parser("decrypt", help="open a clip into a film that any player shows")
    opening.add_argument("clip", type=Path)
    opening.add_argument("-i", "--identity", type=Path, required=True, help="the private key, as age-keygen wrote it")
    opening.add_argument("-o", "--output", type=Path, required=True, help="the film, an .avi; must not exist yet")
    making = actions.add_parser("keygen", help="make a pair of keys; not on the box")
    making.add_argument("output", type=Path, help="where the private key goes; must not exist yet")


def execute(args: argparse.Namespace) -> int:
    """Do one of them."""
    return {"list": _list, "verify": _verify, "decrypt": _decrypt, "keygen": _keygen}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    folder = _folder(args.place)
    clips = EvidenceFolder(folder, max_bytes=0, keep_s=0).clips()
    print(f"{len(clips)} clip{'' if len(clips) == 1 else 's'} in {folder}")
    for kept in clips:  # lines of a terminal's own: a table would break names and hashes that people copy
        clip = kept.clip
        why = ", ".join(dict.fromkeys(event.kind for event in kept.events))
        print(
            f"{clip.name}\n  {utc_text(clip.start_s)} to {utc_text(clip.end_s)}, {clip.bytes / 1e6:.1f} MB, for {why}"
        )
        print(f"  sha256 {clip.sha256}")
    return 0


def _folder(place: Path) -> Path:
    if place.is_dir():
        return place
    config = load_config(place)
    if config.evidence is None:
        raise EvidenceError(f"{place} keeps no evidence; name the configuration or the folder of a box that does")
    return config.evidence.folder or config.state_dir / "evidence"


def _verify(args: argparse.Namespace) -> int:
    found = hashlib.sha256(_read(args.clip)).hexdigest()
    if args.store is None:
        said = {str(args.sha256).strip().lower(): "as given"}
    else:
        said = {str(clip["sha256"]): f"event {event}" for event, clip in _recorded(args.store, args.clip.name)}
    if not said:
        raise EvidenceError(f"no event in {args.store} names {args.clip.name}; was the file renamed?")
    if found not in said:
        raise EvidenceError(
            f"{args.clip} is not the clip that was recorded: its sha256 is {found}, recorded is {', '.join(said)}; "
            "it was changed, or is another file"
        )
    print(f"{args.clip}: untouched since it was recorded, {said[found]}; sha256 {found}")
    return 0


def _recorded(store: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Events in a receiver's store that name a clip, and what they say of it."""
    try:
        with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute(
                "SELECT json FROM records WHERE kind = 'event' AND instr(json, ?) > 0", (name,)
            ).fetchall()
    except sqlite3.Error as error:
        raise EvidenceError(f"{store} can't be read as a receiver's store ({error}); give the file it wrote") from error
    for (text,) in rows:
        event = json.loads(text)
        for clip in event.get("details", {}).get("evidence", []):
            if clip.get("clip") == name:
                yield event["event"], clip


def _decrypt(args: argparse.Namespace) -> int:
    film = open_sealed(_read(args.clip), args.identity)
    about, pictures = unpack(film)
    _write_new(args.output, film)
    kinds = ", ".join(dict.fromkeys(str(event["kind"]) for event in about["events"])) or "no event: a piece of the ring"
    when = f"{about['from']} to {about['to']}"
    print(f"{args.output}: {len(pictures)} pictures of camera {about['camera']} of {about['device']}, {when}; {kinds}")
    return 0


def _keygen(args: argparse.Namespace) -> int:
    private, public = new_key()
    _write_new(args.output, f"# public key: {public}\n{private}\n".encode())
    print(f"{args.output}: the private key; keep it away from the box, with a copy in a safe")
    print(f"for the configuration:  evidence: {{keys: [{public}]}}")
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EvidenceError(f"{path} can't be read ({error.strerror}); check its name") from error


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, and that did not exist."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise OutputError(
            f"{path} can't be written ({error.strerror}); name a new file in a folder of yours"
        ) from error
