"""Campaigns of killing and cutting, and what they cost: the numbers of the faults report.

Promises that a campaign with the same seed makes the same choices, and that every number is counted from what the
receiver stored and what the outbox of the victim holds, never from what the code under test says of itself.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from agent.mqtt.connection import Timing
from agent.receive import Receiver, ReceiveSettings, SqliteStore
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.tcp_proxy import FAULTS, Fault, TcpProxy, Toxic
from tests.faults.victim import Orders, live

_FORK = multiprocessing.get_context("forkserver")
_FORK.set_forkserver_preload(["tests.faults.victim"])
BROKER_LINES = ("listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a campaign found.

    Attributes:
        name: Which campaign.
        seed: Makes it repeatable.
        kills: How many processes were killed, or faults made.
        committed: Records the outboxes had made durable.
        lost: Of these, how many no receiver ever stored.
        duplicates: How many came more than once and were dropped.
        wrong: Records whose content contradicts their number, and counters that disagree with the records.
        seconds: How long it took.
        notes: Whatever else was measured.
    """

    name: str
    seed: int
    kills: int
    committed: int
    lost: int
    duplicates: int
    wrong: int
    seconds: float
    notes: dict[str, float | str] = field(default_factory=dict)

    def as_plain(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


class Victim:
    """One agent through all its lives."""

    def __init__(self, folder: Path, device: str, port: int, delivery: str, resend_s: float = 2.0) -> None:
        self.folder = folder
        self.device = device
        self.port = port
        self.delivery = delivery
        self.resend_s = resend_s
        self.durable = 0
        self._process: ForkServerProcess | None = None
        self._pipe: Connection | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, per_s: float) -> None:
        """Begin a life."""
        near, far = _FORK.Pipe(duplex=False)
        orders = Orders(self.folder, self.device, self.port, self.delivery, per_s, self.resend_s)
        self._process = _FORK.Process(target=live, args=(orders, far), daemon=True)
        self._process.start()
        far.close()
        self._pipe = near

    def kill(self) -> None:
        """kill -9, then remember what it had reported as durable."""
        assert self._process is not None
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join(10)
        self._drain()

    def deliver_the_rest(self, timeout_s: float) -> bool:
        """A last life that only delivers; True when nothing is left."""
        self.start(0)
        assert self._process is not None
        self._process.join(timeout_s)
        is_over = self._process.exitcode == 0
        if not is_over:
            self.kill()
        else:
            self._drain()
        return is_over

    def _drain(self) -> None:
        assert self._pipe is not None
        while self._pipe.poll():
            try:
                self.durable = max(self.durable, self._pipe.recv())
            except EOFError:
                break
        self._pipe.close()

    def audit(self) -> tuple[int, int]:
        """Records ever committed, and contradictions between the counter, the numbers and what was promised."""
        with closing(sqlite3.connect(self.folder / "outbox.sqlite")) as db:
            last = db.execute("SELECT value FROM meta WHERE key = 'last'").fetchone()[0]
            found = db.execute("SELECT json FROM state WHERE name = 'counter'").fetchone()
        counter = json.loads(found[0]) if found else 0
        return last, int(counter != last) + int(self.durable > last)


@contextmanager
def centre(folder: Path, port: int, name: str = "centre", group: str = "") -> Iterator[SqliteStore]:
    """A receiver in this process."""
    store = SqliteStore(folder / "received.sqlite")
    settings = ReceiveSettings(
        "127.0.0.1", port, name=name, group=group, hole_s=1.0, ask_again_s=1.5, turn_s=0.005, in_flight=2000
    )
    receiver = Receiver(settings, store)
    receiver.start()
    receiver.await_connected(20)
    try:
        yield store
    finally:
        receiver.stop()
        store.close()


def await_(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether it became true in time."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def judge(
    name: str, seed: int, kills: int, victims: list[Victim], store: SqliteStore, began_s: float,
    notes: dict[str, float | str] | None = None,
) -> Outcome:  # fmt: skip
    """Compare what was committed with what was stored."""
    committed = lost = wrong = 0
    for victim in victims:
        last, contradictions = victim.audit()
        committed += last
        wrong += contradictions
        stored = set(store.seqs(victim.device))
        lost += len(set(range(1, last + 1)) - stored)
        wrong += len([seq for seq in stored if seq > last])
    with closing(sqlite3.connect(store.path)) as db:
        for seq, text in db.execute("SELECT seq, json FROM records WHERE kind = 'count'"):
            wrong += json.loads(text)["cumulative"] != seq
    duplicates = sum(report.duplicates for report in store.report())
    seconds = round(time.monotonic() - began_s, 1)
    return Outcome(name, seed, kills, committed, lost, duplicates, wrong, seconds, notes or {})


def lifetimes(seed: int, device: str, mean_s: float) -> Iterator[float]:
    """How long each life of a victim lasts; its own, so that whoever is killed first doesn't change the others'."""
    choose = random.Random(f"{seed}-{device}")
    while True:
        yield choose.uniform(0.1, 2 * mean_s - 0.1)


def kill_agents(
    folder: Path, *, kills: int, seed: int, at_once: int = 8, per_s: float = 25, life_s: float = 8.0
) -> Outcome:
    """Kill agents under load at random moments, again and again."""
    began_s = time.monotonic()
    with Mosquitto(folder / "broker", BROKER_LINES) as broker, centre(folder, broker.port) as store:
        # With the patience of a real box: a receiver that is starved for two seconds is no reason to send all again.
        victims = [
            Victim(folder / f"v{n}", f"pole-{n}", broker.port, "application", Timing().resend_s) for n in range(at_once)
        ]
        lives = [lifetimes(seed, victim.device, life_s) for victim in victims]
        ends = [0.0] * at_once
        done = 0
        for index, victim in enumerate(victims):
            victim.start(per_s)
            ends[index] = time.monotonic() + next(lives[index])
        while done < kills:
            index = min(range(at_once), key=ends.__getitem__)
            time.sleep(max(0.0, ends[index] - time.monotonic()))
            victims[index].kill()
            done += 1
            victims[index].start(per_s)
            ends[index] = time.monotonic() + next(lives[index])
        for victim in victims:
            victim.kill()
        _finish(victims, store)
        return judge("kill -9 of the agent", seed, done + at_once, victims, store, began_s)


def kill_broker(folder: Path, *, kills: int, seed: int, delivery: str, per_s: float = 200) -> Outcome:
    """Kill Mosquitto under load while the receiver is away now and then, so that the broker has something to lose."""
    choose, began_s = random.Random(seed), time.monotonic()
    with Mosquitto(folder / "broker", BROKER_LINES) as broker:
        victim = Victim(folder / "v", "pole-0", broker.port, delivery)
        victim.start(per_s)
        for _ in range(kills):
            with centre(folder, broker.port):
                time.sleep(choose.uniform(0.05, 0.4))
            time.sleep(choose.uniform(0.05, 0.4))  # the receiver is away; the broker holds its messages
            broker.restart()
        victim.kill()
        with centre(folder, broker.port) as store:
            _finish([victim], store, is_exact=delivery == "application")
            return judge(f"kill -9 of the broker, {delivery}", seed, kills, [victim], store, began_s)


def kill_receivers(folder: Path, *, kills: int, seed: int, per_s: float = 200) -> Outcome:
    """Kill one of two receivers that share the load, again and again."""
    choose, began_s = random.Random(seed), time.monotonic()
    with Mosquitto(folder / "broker", BROKER_LINES) as broker, ExitStack() as stack:
        store = stack.enter_context(centre(folder, broker.port, "steady", "tmc"))
        victim = Victim(folder / "v", "pole-0", broker.port, "application")
        victim.start(per_s)
        for _ in range(kills):
            process = _FORK.Process(target=_receive, args=(folder, broker.port), daemon=True)
            process.start()
            time.sleep(choose.uniform(0.2, 1.0))
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join(10)
        victim.kill()
        _finish([victim], store)
        return judge("kill -9 of a receiver of two", seed, kills, [victim], store, began_s)


def _receive(folder: Path, port: int) -> None:
    with centre(folder, port, "dying", "tmc"):
        time.sleep(60)


MOMENTS = ("connect", "publish", "acknowledge")


def network_faults(folder: Path, *, seed: int, per_s: float = 100, hold_s: float = 1.0) -> Iterator[Outcome]:
    """Each of the eight faults at each of three moments of a connection; recovered from, and nothing lost.

    Yields:
        Each as soon as it is known: what was measured must not be lost with one that hangs.
    """
    for fault in FAULTS:
        for moment in MOMENTS:
            yield _network_fault(folder / f"{fault}-{moment}", fault, moment, seed, per_s, hold_s)


def _network_fault(folder: Path, fault: Fault, moment: str, seed: int, per_s: float, hold_s: float) -> Outcome:
    choose, began_s = random.Random(f"{seed}-{fault}-{moment}"), time.monotonic()
    # Where a fault counts bytes, the moment is where it strikes: in CONNECT, in the records, in the PUBACKs.
    low, high = {"connect": (1, 60), "publish": (400, 6_000), "acknowledge": (6_000, 9_000)}[moment]
    pause_s = 0.02 if fault == "slicer" else 0.2
    toxic = Toxic(fault, delay_s=pause_s, limit_bytes=choose.randint(low, high), slice_bytes=11, bytes_per_s=30_000)
    with (
        Mosquitto(folder / "broker", BROKER_LINES) as broker,
        TcpProxy(broker.port, toxic if moment == "connect" else None) as proxy,
        centre(folder, broker.port) as store,
    ):
        victim = Victim(folder / "v", "pole-0", proxy.port, "application")
        victim.start(per_s)
        await_(lambda: len(store.seqs("pole-0")) >= 20, 5 if moment == "connect" else 20)
        if moment == "acknowledge":
            time.sleep(choose.uniform(0, 0.05))
        proxy.toxic = toxic
        time.sleep(hold_s)
        proxy.toxic = Toxic()
        healed_s = time.monotonic()
        before = len(store.seqs("pole-0"))
        resumed = await_(lambda: len(store.seqs("pole-0")) > before, 20)
        resumed_s = round(time.monotonic() - healed_s, 2)
        victim.kill()
        _finish([victim], store)
        notes: dict[str, float | str] = {"resumed_s": resumed_s if resumed else "never"}
        return judge(f"{fault} at {moment}", seed, 1, [victim], store, began_s, notes)


def _finish(victims: list[Victim], store: SqliteStore, *, is_exact: bool = True) -> None:
    for victim in victims:
        victim.deliver_the_rest(60)
    if is_exact:
        lasts = {victim.device: victim.audit()[0] for victim in victims}
        await_(lambda: all(mark.seq >= lasts.get(mark.device, 0) for mark in store.marks()), 30)
    else:
        time.sleep(1)
