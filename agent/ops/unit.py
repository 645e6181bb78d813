"""`kentongan unit`: a systemd drop-in that lets the service reach what its configuration names, and nothing else.

Resolves the names of cameras and broker once, now: fixed addresses are best, and after a change of network the drop-in
is made again. Prints; it never writes to the system.
"""

from __future__ import annotations

import argparse
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from agent.config.load import load_config
from agent.config.schema import Camera, Config
from agent.errors import ConfigError, KentonganError
from agent.ops.check_site import SERVICE_STATE_DIR
from agent.video.address import Kind, parse_address

Resolve: TypeAlias = Callable[[str], Iterable[str]]
"""From a host's name to its addresses; raises OSError when it has none."""

_RESOLV_CONF: Final = Path("/etc/resolv.conf")
_URL_HOST: Final = re.compile(
    r"\b[a-z][a-z0-9+.-]*://(?:[^\s/@\"']*@)?(\[[0-9A-Fa-f:.]+\]|[^\s/:?\"'\[\]]+)", re.IGNORECASE
)
_GPU: Final = frozenset({"tensorrt", "cuda", "openvino"})
_GPU_DROP_IN: Final = "systemd/drop-ins/gpu.conf"


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("config", type=Path, help="the configuration, a YAML file")
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="another address or network to allow, such as 192.168.1.0/24; may be given again",
    )


def execute(args: argparse.Namespace) -> int:
    """Print the drop-in."""
    print(drop_in(load_config(args.config), also=args.also), end="")
    return 0


def addresses_of(host: str) -> list[str]:
    """The addresses of a host by this machine's resolver.

    Raises:
        OSError: It has none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]).partition("%")[0] for entry in found})


def drop_in(
    config: Config, *, also: Iterable[str] = (), resolve: Resolve = addresses_of, resolv_conf: Path = _RESOLV_CONF
) -> str:
    """The drop-in's text.

    Args:
        config: The configuration.
        also: More addresses or networks to allow.
        resolve: How names become addresses.
        resolv_conf: Where the machine's name servers stand; they are allowed when a name needs them.

    Raises:
        ConfigError: A name has no address, or ``also`` holds something that is none.
    """
    lines = [
        f"# For {config.device}, made from its configuration. Save as",
        "# /etc/systemd/system/kentongan.service.d/50-configuration.conf, then:",
        "# systemctl daemon-reload && systemctl restart kentongan",
        "[Service]",
        "# An empty value first: it takes back what the unit itself allows.",
        "IPAddressAllow=",
        "IPAddressDeny=any",
        "IPAddressAllow=localhost",
    ]
    hosts = dict(_hosts(config))
    for host, why in hosts.items():
        lines += _allow(host, why, resolve)
    if any(not _is_address(host) for host in hosts):
        servers = [server for server in _name_servers(resolv_conf) if not ip_address(server).is_loopback]
        lines += ["# Name servers.", *(f"IPAddressAllow={server}" for server in servers)] if servers else []
    lines += [f"IPAddressAllow={_network(text)}" for text in also]
    return "\n".join([*lines, *_devices(config), *_state(config)]) + "\n"


def _hosts(config: Config) -> Iterator[tuple[str, str]]:
    yield config.mqtt.host, "the broker"
    if config.update is not None and (host := urlsplit(config.update.url).hostname) is not None:
        yield host, "the update server"
    for camera in config.cameras:
        for host in _camera_hosts(camera):
            yield host, f"camera {camera.name}"


def _camera_hosts(camera: Camera) -> Iterator[str]:
    address = parse_address(camera.source)
    if address.kind is Kind.NETWORK:
        yield address.host_and_port[0]
    elif address.kind in {Kind.GSTREAMER, Kind.FFMPEG}:
        yield from (host.strip("[]") for host in _URL_HOST.findall(address.location))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _allow(host: str, why: str, resolve: Resolve) -> Iterator[str]:
    if _is_address(host):
        found: Iterable[str] = [host]
    else:
        try:
            found = resolve(host)
        except (OSError, UnicodeError):
            raise ConfigError(f"{why}: the name {host} has no address now; check it, or write the address") from None
    for text in found:
        address = ip_address(text)
        if address.is_unspecified:
            # A listener takes what anybody sends; whom to let in only the installer knows.
            yield f"# {why} listens for any sender: add its address with --also."
        elif not address.is_loopback:
            yield f"# {why}{'' if text == host else f', {host}'}."
            yield f"IPAddressAllow={address}"


def _name_servers(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    servers = [pair[1].partition("%")[0] for pair in words if len(pair) > 1 and pair[0] == "nameserver"]
    return [server for server in servers if _is_address(server)]


def _network(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        raise ConfigError(f"--also {text}: this is no address or network; write 192.168.1.20 or 10.0.0.0/24") from None


def _devices(config: Config) -> Iterator[str]:
    addresses = [parse_address(camera.source) for camera in config.cameras]
    devices = dict.fromkeys(address.location for address in addresses if address.kind is Kind.DEVICE)
    if devices:
        yield "# Cameras on this box."
        yield "PrivateDevices=no"
        yield "DevicePolicy=closed"
        yield from (f"DeviceAllow={_word(device)} rw" for device in devices)
        yield "SupplementaryGroups=video"
    if any(_GPU & set(model.providers or ()) for model in config.models.values()):
        yield f"# A model asks for a GPU: install {_GPU_DROP_IN} as well."
    if any(address.kind is Kind.GSTREAMER and "libcamera" in address.location for address in addresses):
        yield "# The Pi's own camera: install systemd/drop-ins/raspberry-pi-camera.conf as well."


def _state(config: Config) -> Iterator[str]:
    if config.state_dir != SERVICE_STATE_DIR:
        yield "# The state folder is not the unit's own."
        yield f"ReadWritePaths={_word(str(config.state_dir.absolute()))}"


def _word(text: str) -> str:
    """One word of a unit file: percent signs and blanks mean something there.

    Raises:
        KentonganError: It can't be written there.
    """
    if not text.isprintable() or '"' in text or "\\" in text:
        raise KentonganError(f"the name {text!r} can't stand in a unit file; rename it without quotes and backslashes")
    text = text.replace("%", "%%")
    return f'"{text}"' if " " in text else text
