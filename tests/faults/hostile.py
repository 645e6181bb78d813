"""Generated nonsense for every door of the agent: messages, acks, commands, configurations, model files.

Promises that the same seed makes the same nonsense. Counts what was taken, what was refused with one sentence, what
ended in any other exception, and what repeated a secret.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from agent.config.load import parse_config
from agent.errors import KentonganError
from agent.mqtt.coding import MessageError, decode, decode_record, encode
from agent.mqtt.commands import Commands, NoArgs, Order, Pace, ResendArgs
from agent.mqtt.messages import MESSAGES, Ack
from agent.mqtt.rows import record_message
from agent.mqtt.topics import CAMERA_LEAVES, Address
from agent.receive.receiver import arrival_of
from agent.records import Scalar
from agent.vision.model_file import judge
from agent.vision.onnx_outline import with_metadata
from tests.fakes.clock import ManualClock
from tests.fakes.messages import BOOT, DEVICE, EXAMPLES
from tests.fakes.onnx_models import TinyModel
from tests.fakes.records import count_record, event_record, zone_record
from tests.faults.findings import Finding

SECRET = "correct-horse-battery"
ATOMS: tuple[object, ...] = (
    None, True, False, 0, -1, 1, 2**53, 2**63, 10**400, -(10**400), 1e308, 1e-308, "", " ", "\u0000", "a" * 5000,
    SECRET, "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59", "NaN", [], {},
    [[]], {"": {}}, "../../etc/passwd", "$(reboot)", "\ud800",
)  # fmt: skip
PLAIN_ATOMS = tuple(atom for atom in ATOMS if atom != SECRET)  # where a name belongs it would be no secret
TYPED = tuple(":{}[]#&*!|>'\"%@`-\n\t ,~0a")
LONGEST_SENTENCE = 600
GOOD_CONFIG = f"""\
device: box-1
mqtt:
  host: broker.example.org
  login: {{user: box-1}}
models:
  fast: {{file: fast.onnx, labels: [car, bus]}}
cameras:
  - name: simpang
    source: rtsp://admin:{SECRET}@10.0.0.2/stream
    model: fast
    lines:
      - {{name: utara, points: [[0.1, 0.5], [0.9, 0.5]]}}
    zones:
      - name: kotak
        polygon: [[0.1, 0.5], [0.9, 0.5], [0.5, 0.9]]
"""
# What people write who have not read the manual: passwords where none belong.
NAIVE_CONFIG = GOOD_CONFIG.replace(
    "{user: box-1}", f"{{user: box-1, password: {SECRET}, password_env: {SECRET}, password_file: {SECRET}}}"
)


@dataclass(slots=True)
class Tally:
    """What came of the nonsense.

    Attributes:
        tried: How much there was.
        taken: Of it, what happened to be right.
        refused: What was refused as it should be.
        uncaught: Any other exception, by name.
        leaked: Refusals that repeated a secret.
        rude: Refusals that were more than one short line.
    """

    tried: int = 0
    taken: int = 0
    refused: int = 0
    uncaught: list[str] = field(default_factory=list)
    leaked: int = 0
    rude: int = 0

    def meet(self, attempt: Callable[[], object], *, lines: int = 1) -> None:
        """Make one attempt; at most ``lines`` faults may be told at once."""
        self.tried += 1
        try:
            said = attempt()
        except (KentonganError, MessageError) as error:
            said = error
            self.refused += 1
        except Exception as error:  # noqa: BLE001 - whatever else comes is what is looked for
            self.uncaught.append(f"{type(error).__name__}: {error}"[:300])
            return
        else:
            self.taken += not isinstance(said, str)
            self.refused += isinstance(said, str)
        if isinstance(said, Exception | str):
            text = str(said)
            self.leaked += SECRET in text
            self.rude += len(text) > LONGEST_SENTENCE * lines or text.count("\n") >= lines


def seeds() -> list[tuple[str, dict[str, object]]]:
    """One good message of every kind, to be broken."""
    others = [(example.leaf, json.loads(encode(example.message))) for example in EXAMPLES]
    records = [
        (record.kind, record_message(record, device=DEVICE, boot=BOOT, seq=3, record_id=BOOT))
        for record in (count_record(1), zone_record(2), event_record(3))
    ]
    return [*others, *records]


def broken_tree(choose: random.Random, plain: object, atoms: tuple[object, ...] = ATOMS) -> Any:
    """A copy with one to four things wrong somewhere."""
    root: Any = json.loads(json.dumps(plain))
    node = root
    for _ in range(choose.randint(1, 4)):
        keys = [*node, "extra"] if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        if not keys:
            break
        key = choose.choice(keys)
        inner = None if key == "extra" else node[key]
        if isinstance(inner, dict | list) and choose.random() < 0.7:
            node = inner
            continue
        node[key] = copy.deepcopy(choose.choice(atoms))
        if isinstance(node, dict) and choose.random() < 0.3:
            node.pop(choose.choice(list(node)))
    return root


def broken_message(choose: random.Random, plain: dict[str, object]) -> bytes:
    """A message with something wrong, or bytes that are no message at all."""
    payload = json.dumps(broken_tree(choose, plain), ensure_ascii=choose.random() < 0.8)
    data = payload.encode("utf-8", "surrogatepass")
    if choose.random() < 0.2:
        data = _spliced(choose, data)
    if choose.random() < 0.02:
        data *= choose.choice([0, 2, 200])
    if choose.random() < 0.02:
        data = b"[" * choose.randint(1, 50_000)
    return data


def _spliced(choose: random.Random, data: bytes) -> bytes:
    place = choose.randrange(len(data) + 1)
    return data[:place] + choose.randbytes(choose.randint(0, 8)) + data[place + choose.randint(0, 5) :]


def messages(number: int, seed: int) -> Tally:
    """To a receiver and to a box."""
    choose, good, tally = random.Random(seed), seeds(), Tally()
    for _ in range(number):
        leaf, plain = choose.choice(good)
        tally.meet(partial(_read_message, leaf, broken_message(choose, plain)))
    return tally


def _read_message(leaf: str, payload: bytes) -> None:
    if leaf in MESSAGES:
        decode(MESSAGES[leaf], payload, leaf)
        return
    address = Address(DEVICE, "junction-3" if leaf in CAMERA_LEAVES else None, leaf)
    arrival_of(address, payload)
    decode_record(payload, address)


def acks(number: int, seed: int) -> Tally:
    """Which would make a box forget."""
    choose, tally = random.Random(seed), Tally()
    plain: dict[str, object] = {"v": 1, "seq": 12, "id": BOOT, "receiver": "tmc-1"}
    for _ in range(number):
        tally.meet(partial(decode, Ack, broken_message(choose, plain), "ack"))
    return tally


def commands(number: int, seed: int) -> Tally:
    """Which would make a box do something; a command that ran without a good reply counts as uncaught."""
    choose, tally = random.Random(seed), Tally()
    ran = 0

    def run(_: object) -> Mapping[str, Scalar]:
        nonlocal ran
        ran += 1
        return {}

    table = [Order("ping", NoArgs, run), Order("resend", ResendArgs, run)]
    door = Commands(table, device=DEVICE, boot=BOOT, clock=ManualClock(), pace=Pace(burst=number + 10))
    good = [plain for leaf, plain in seeds() if leaf == "command"]
    good += [{"command": "ping"}, {"command": "resend", "id": "1-9", "args": {"first": 1, "last": 9}}]
    for _ in range(number):
        tally.meet(partial(_ask, door, broken_message(choose, choose.choice(good))))
    if ran > tally.taken:
        tally.uncaught.append(f"{ran} commands ran and {tally.taken} were answered as good")
    return tally


def _ask(door: Commands, payload: bytes) -> str | None:
    reply = door.answer(payload)
    if reply is None or reply.ok:
        return None
    return reply.error or ""


def configurations(number: int, seed: int) -> Tally:
    """A good file with slips of the keyboard, lines missing or doubled, and other values."""
    choose, tally = random.Random(seed), Tally()
    for text in _configurations(choose, number):
        tally.meet(partial(parse_config, text, "box.yaml"), lines=200)
    return tally


def _configurations(choose: random.Random, number: int) -> Iterator[str]:
    for _ in range(number):
        good = choose.choice([GOOD_CONFIG, NAIVE_CONFIG])
        lines = good.splitlines(keepends=True)
        way = choose.randrange(3)
        if way == 0:
            # JSON is YAML, and writes whatever the tree holds.
            yield json.dumps(broken_tree(choose, yaml.safe_load(good), PLAIN_ATOMS), indent=choose.choice([None, 1]))
        elif way == 1:
            hit = choose.randrange(len(lines))
            yield "".join(line * (choose.choice([0, 2]) if i == hit else 1) for i, line in enumerate(lines))
        else:
            yield _mistyped(choose, good)


def _mistyped(choose: random.Random, text: str) -> str:
    """Characters typed in anywhere but within the password, which would be another one then."""
    parts = text.split(SECRET)
    for _ in range(choose.randint(1, 4)):
        which = choose.randrange(len(parts))
        part = parts[which]
        place = choose.randrange(len(part) + 1)
        parts[which] = part[:place] + choose.choice(TYPED) + part[place:]
    return SECRET.join(parts)


def models(number: int, seed: int) -> Tally:
    """Files whose description of themselves, or whose very bytes, are wrong."""
    choose, tally = random.Random(seed), Tally()
    bare = TinyModel("yolo", metadata="none").build()
    described = TinyModel("yolo").build()
    foreign = TinyModel("yolo", metadata="ultralytics").build()
    card = json.loads(judge(described, Path("tiny.onnx")).description.to_metadata())
    ultralytics = ("names", "imgsz", "task", "head", "version", "license", "stride", "batch", "end2end")
    for _ in range(number):
        way = choose.random()
        if way < 0.6:
            text = json.dumps(broken_tree(choose, card, PLAIN_ATOMS), ensure_ascii=True)
            data = with_metadata(bare, "kentongan", text if choose.random() < 0.9 else text[: choose.randint(0, 200)])
        elif way < 0.8:
            value = (
                json.dumps(choose.choice(PLAIN_ATOMS))
                if choose.random() < 0.7
                else "{0: 'car', 1: " * choose.randint(1, 50)
            )
            data = with_metadata(foreign, choose.choice(ultralytics), value)
        else:
            data = _spliced(choose, choose.choice([bare, described, foreign]))
        tally.meet(partial(judge, data, Path("tiny.onnx")))
    return tally


DOORS: dict[str, Callable[[int, int], Tally]] = {
    "messages": messages, "acks": acks, "commands": commands, "configurations": configurations,
    "model files": models,
}  # fmt: skip


def attack(door: str, number: int, seed: int) -> Finding:
    """So much nonsense for one door."""
    began_s = time.monotonic()
    tally = DOORS[door](number, seed)
    missed = [f"{len(tally.uncaught)} uncaught: {tally.uncaught[0]}"] if tally.uncaught else []
    if tally.leaked:
        missed.append(f"{tally.leaked} repeated a secret")
    if tally.rude:
        missed.append(f"{tally.rude} said more than a sentence")
    if tally.refused < number / 3:
        missed.append("most of it was no nonsense, so it proves little")
    return Finding(
        name=f"bad {door}",
        size=f"{tally.tried:,} generated",
        found=f"{tally.refused:,} refused, {len(tally.uncaught)} uncaught, {tally.leaked} secrets told",
        seconds=round(time.monotonic() - began_s, 1),
        missed=tuple(missed),
        figures={
            "tried": tally.tried, "taken": tally.taken, "refused": tally.refused, "uncaught": len(tally.uncaught),
            "leaked": tally.leaked,
        },
    )  # fmt: skip
