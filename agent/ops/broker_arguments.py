"""The words by which a person names a broker and how to reach it: the same for every command that listens to one."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_broker_arguments(parser: argparse.ArgumentParser) -> None:
    """Port, TLS and login; the host is each command's own."""
    parser.add_argument("--port", type=int, help="default: 8883, or 1883 with --plaintext")
    parser.add_argument("--plaintext", action="store_true", help="connect without TLS")
    parser.add_argument("--ca-file", type=Path, help="certificate authorities (default: the system's)")
    parser.add_argument("--cert-file", type=Path, help="a client certificate")
    parser.add_argument("--key-file", type=Path, help="its key")
    parser.add_argument("--user")
    parser.add_argument("--password-file", type=Path, help="a file only you can read")
