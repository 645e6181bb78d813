"""A real agent on a camera and a network that both come and go for an hour: what it holds must not grow.

Measures resident memory, file descriptors and threads of the agent's process all the while, and compares two quiet
moments: one early on and one at the end. Promises that the same seed makes the same choices, and that nothing outlives
it.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from agent.receive import SqliteStore
from tests.fakes.agent_process import AgentProcess
from tests.fakes.bright_street import write_bright_model
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.rtsp_server import RtspServer
from tests.fakes.tcp_proxy import Fault, TcpProxy, Toxic
from tests.faults.campaigns import BROKER_LINES, centre
from tests.faults.findings import Finding

SAMPLE_S = 15.0
NAME = "flapping network and camera"
GROWTH_SHARE = 0.02
EARLY_SHARE = 1 / 12  # five minutes of an hour
CALM_S, LOOKS = 25.0, 10
NETWORK: tuple[Fault, ...] = ("down", "reset", "timeout", "data_limit", "slicer", "bandwidth", "latency")
CAMERA: tuple[Fault, ...] = ("down", "reset", "timeout", "data_limit")
CONFIG = """\
device: pole-17
state_dir: {state}
health_s: 5
mqtt: {{host: 127.0.0.1, port: {broker}, plaintext: true, delivery: application, keepalive_s: 5}}
models: {{bright: {{file: {model}}}}}
cameras:
  - name: gate
    source: {camera}
    model: bright
    detect_fps: 5
    lines: [{{name: middle, points: [[0.5, 0.98], [0.5, 0.02]], interval_s: 10}}]
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the agent's process held at one moment.

    Attributes:
        at_s: Seconds since the flapping began.
        rss_mb: Resident memory, MB of 10^6 bytes.
        descriptors: Open files and sockets.
        threads: Threads.
    """

    at_s: float
    rss_mb: float
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Endured:
    """How it went.

    Attributes:
        early: The median of the early quiet moment.
        late: The same at the end.
        samples: All there were in between.
        network_faults: How often the way to the broker failed.
        camera_faults: How often the camera did.
        stored: Records that arrived meanwhile.
        lost: Records that never did.
    """

    early: Sample
    late: Sample
    samples: list[Sample] = field(repr=False)
    network_faults: int
    camera_faults: int
    stored: int
    lost: int

    def growth(self) -> dict[str, float]:
        """By how much each measure grew from early to late, as a share."""
        pairs = {
            "rss": (self.early.rss_mb, self.late.rss_mb),
            "descriptors": (self.early.descriptors, self.late.descriptors),
            "threads": (self.early.threads, self.late.threads),
        }
        return {name: late / early - 1 for name, (early, late) in pairs.items()}

    def told(self) -> Finding:
        """As a line of the report; what shrank is no fault."""
        minutes = self.late.at_s / 60
        missed = [f"{name} grew by {share:.1%}" for name, share in self.growth().items() if share > GROWTH_SHARE]
        if self.lost:
            missed.append(f"{self.lost} records lost")
        return Finding(
            name=NAME,
            size=f"{minutes:.0f} minutes, {self.network_faults} and {self.camera_faults} failures",
            found=(
                f"{self.early.rss_mb:.1f} MB, {self.early.descriptors} descriptors, {self.early.threads} threads after "
                f"{self.early.at_s / 60:.0f} minutes; {self.late.rss_mb:.1f} MB, {self.late.descriptors}, "
                f"{self.late.threads} at the end; {self.stored} records, {self.lost} lost"
            ),
            seconds=round(self.late.at_s, 1),
            missed=tuple(missed),
            figures=asdict(self),
        )


class Flapper:
    """Something behind a proxy that works and fails in turns of its own."""

    def __init__(self, proxy: TcpProxy, faults: tuple[Fault, ...], choose: random.Random) -> None:
        self.failures = 0
        self._proxy, self._faults, self._choose = proxy, faults, choose
        self._due_s = 0.0

    def turn(self, now_s: float) -> None:
        """Fail, or be well again, when it is time."""
        if now_s < self._due_s:
            return
        self._proxy.seen.clear()  # what it passed on is of no interest here
        if self._proxy.toxic.fault != "none":
            self.heal()
            self._due_s = now_s + self._choose.uniform(4, 14)
            return
        self.failures += 1
        limit = self._choose.randint(100, 20_000)
        self._proxy.toxic = Toxic(self._choose.choice(self._faults), limit_bytes=limit, slice_bytes=200)
        self._due_s = now_s + self._choose.uniform(1, 8)

    def heal(self) -> None:
        """Be well, for now."""
        self._proxy.toxic = Toxic()


class Site:
    """The agent with its camera, its broker and the receiver, and everything that fails between them."""

    def __init__(self, agent: AgentProcess, network: Flapper, camera: Flapper, store: SqliteStore) -> None:
        self.network, self.camera, self.store = network, camera, store
        self.samples: list[Sample] = []
        self._agent = agent
        self._process = psutil.Process(agent.pid)
        self._began_s = time.monotonic()

    def now_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began_s

    def flap_until(self, end_s: float) -> None:
        """Let both fail and recover, and look at the agent now and then."""
        next_look_s = self.now_s()
        while self.now_s() < end_s:
            self.network.turn(self.now_s())
            self.camera.turn(self.now_s())
            if self.now_s() >= next_look_s:
                self.look()
                next_look_s += SAMPLE_S
            time.sleep(0.1)

    def look(self) -> Sample:
        """Measure the agent."""
        with self._process.oneshot():
            rss_mb = round(self._process.memory_info().rss / 1e6, 2)
            sample = Sample(round(self.now_s(), 1), rss_mb, self._process.num_fds(), self._process.num_threads())
        self.samples.append(sample)
        return sample

    def quiet(self) -> Sample:
        """Let everything be well for a while; the median of what the agent holds then."""
        self.network.heal()
        self.camera.heal()
        time.sleep(CALM_S)
        looks = []
        for _ in range(LOOKS):
            looks.append(self.look())
            time.sleep(1)
        return Sample(
            at_s=looks[-1].at_s,
            rss_mb=statistics.median(one.rss_mb for one in looks),
            descriptors=int(statistics.median_high(one.descriptors for one in looks)),
            threads=int(statistics.median_high(one.threads for one in looks)),
        )

    def lost(self) -> int:
        """Stop the agent; how many of its records never arrived."""
        self._agent.stop()
        (report,) = self.store.report()
        return report.missing + report.gone


@contextmanager
def _site(folder: Path, seed: int) -> Iterator[Site]:
    choose = random.Random(seed)
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder / "broker", BROKER_LINES))
        server = stack.enter_context(RtspServer(fps=5))
        network = stack.enter_context(TcpProxy(broker.port))
        camera = stack.enter_context(TcpProxy(server.port))
        store = stack.enter_context(centre(folder, broker.port))
        config = folder / "box.yaml"
        model = write_bright_model(folder / "bright.onnx", fails_on_black=True)
        url = f"rtsp://127.0.0.1:{camera.port}/cam1"
        text = CONFIG.format(state=folder / "state", broker=network.port, model=model, camera=url)
        config.write_text(text, encoding="utf-8")
        agent = stack.enter_context(AgentProcess(config))
        agent.await_log("watching 1 cameras")
        yield Site(agent, Flapper(network, NETWORK, choose), Flapper(camera, CAMERA, choose), store)


def endure(folder: Path, *, minutes: float, seed: int) -> Endured:
    """Flap for so many minutes, and compare the end with a twelfth of the way."""
    with _site(folder, seed) as site:
        site.flap_until(minutes * 60 * EARLY_SHARE)
        early = site.quiet()
        site.flap_until(minutes * 60)
        late = site.quiet()
        lost = site.lost()
        stored = len(site.store.seqs("pole-17"))
        return Endured(early, late, site.samples, site.network.failures, site.camera.failures, stored, lost)


def draw(figures: Mapping[str, Any], path: Path) -> None:
    """What the agent held over time, from the figures of a :meth:`Endured.told`."""
    import matplotlib as mpl  # noqa: PLC0415 - an optional extra, needed for this alone

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of what it draws on

    samples = figures["samples"]
    minutes = [one["at_s"] / 60 for one in samples]
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(8, 4.5))
    upper.plot(minutes, [one["rss_mb"] for one in samples], linewidth=0.8)
    upper.set_ylabel("resident memory, MB")
    upper.set_ylim(0, 1.25 * max(one["rss_mb"] for one in samples))
    lower.plot(minutes, [one["descriptors"] for one in samples], linewidth=0.8, label="file descriptors")
    lower.plot(minutes, [one["threads"] for one in samples], linewidth=0.8, label="threads")
    lower.set_ylim(0, 1.25 * max(one["descriptors"] for one in samples))
    lower.set_xlabel("minutes of a network and a camera that come and go; dotted: the two quiet moments compared")
    lower.legend(loc="lower right")
    for axes in (upper, lower):
        for moment in ("early", "late"):
            axes.axvline(figures[moment]["at_s"] / 60, color="grey", linestyle=":", linewidth=1)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
