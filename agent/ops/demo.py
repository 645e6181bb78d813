"""`kentongan demo`: real video becomes counts and events on a broker, with no camera and no broker of yours.

Everything is real but the broker's home: the default model looks at the video at real speed, the pipeline counts,
the outbox makes durable, the link sends; a subscriber of its own receives, and only what it received is shown.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape

from agent.app import App
from agent.config.schema import Config, Mqtt, Secrets
from agent.mqtt.topics import ROOT
from agent.ops.assets import Clip, demo_clip
from agent.ops.board import Board
from agent.ops.embedded_broker import EmbeddedBroker
from agent.ops.watch import Subscription, show
from agent.video import Kind, parse_address

_LAST_S: Final = 1.0
_CLOCK_UNSET: Final = (
    "The kernel says of this machine's clock that nobody keeps it set (no NTP), so every interval says clock_unset: "
    "its times may be off, its counts are not."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("--source", help="a video file, an rtsp:// address or /dev/video0 (default: a clip)")
    parser.add_argument("--seconds", type=float, help="stop after so long (default: at Ctrl-C)")


def execute(args: argparse.Namespace) -> int:
    """Show until Ctrl-C, or for so many seconds."""
    console = Console(stderr=True)
    clip = own_clip(args.source) if args.source else demo_clip(console.print)
    console.print(f"[bold]Kentongan demo[/bold]: playing {escape(clip.says)}.")
    console.print(
        "Counts come every ten seconds on the clock; the first and the last interval are cut short. Stop with Ctrl-C."
    )
    with tempfile.TemporaryDirectory(prefix="kentongan-demo-") as folder, contextlib.ExitStack() as stack:
        broker = EmbeddedBroker()
        stack.callback(broker.close)
        config = demo_config(clip, broker.port, Path(folder))
        subscription = Subscription(config.mqtt, f"{ROOT}/#")
        stack.callback(subscription.close)
        app = App(config, Secrets(), loop_files=True)
        if not app.clock.now().synced:
            console.print(_CLOCK_UNSET)
        app.start()
        board = Board()
        try:
            with contextlib.suppress(KeyboardInterrupt):
                show(subscription, board, seconds=args.seconds, every_second=app.publish_health, transient=True)
        finally:
            app.stop()
        show(subscription, board, seconds=_LAST_S)  # the intervals that were cut short
    return 0


def own_clip(source: str) -> Clip:
    """Somebody's own video: two lines through its middle, and the whole picture as a zone."""
    address = parse_address(source)
    says = f"{address.shown}, {'looping' if address.kind is Kind.FILE else 'live'}"
    lines: tuple[dict[str, object], ...] = (
        {"name": "across", "points": [[0.02, 0.5], [0.98, 0.5]], "interval_s": 10},
        {"name": "upright", "points": [[0.5, 0.98], [0.5, 0.02]], "interval_s": 10},
    )
    whole: dict[str, object] = {"name": "picture", "polygon": [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98]]}
    return Clip(source, says, lines, ({**whole, "interval_s": 10},))


def demo_config(clip: Clip, port: int, folder: Path) -> Config:
    """The configuration of a box that watches one clip and publishes to this machine."""
    return Config.model_validate(
        {
            "device": "demo-box",
            "place": "this very machine",
            "state_dir": folder,
            "mqtt": Mqtt(host="127.0.0.1", port=port, plaintext=True, protocol="3.1.1"),
            "cameras": [
                {
                    "name": "camera",
                    "source": clip.source,
                    "lines": clip.lines,
                    "zones": clip.zones,
                    "identical_s": 60,
                }
            ],
            "health_s": 5,
        }
    )
