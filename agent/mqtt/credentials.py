"""The door key: TLS that verifies, a client certificate, and a password from a file or the environment.

Promises TLS 1.2 or newer with the broker's name and certificate checked, and that a secret lying open for others to
read is refused. A password is never part of a message, a log line or an error.
"""

from __future__ import annotations

import ssl
import stat
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from agent.config.schema import Login, Mqtt, Tls
from agent.errors import ConfigError


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; the MQTT library forgets to, and would leak one descriptor a try."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of ssl.SSLSocket
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def tls_context(tls: Tls) -> ssl.SSLContext:
    """A client context for these settings.

    Raises:
        ConfigError: A file is missing, is no certificate or key, or the key can be read by others.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"mqtt.tls.ca_file: {tls.ca_file} holds no certificates in PEM ({error})") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _TidySocket
    if tls.cert_file is not None and tls.key_file is not None:
        refuse_open_file(tls.key_file, "mqtt.tls.key_file")
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"mqtt.tls: {tls.cert_file} and {tls.key_file} are no certificate and its key in PEM ({error}); "
                "give a pair that belongs together, the key without a passphrase"
            ) from error
    return context


def password_of(login: Login, environ: Mapping[str, str], where: str = "mqtt.login") -> str | None:
    """The password, from where the configuration says it is; ``None`` when it names no place.

    Raises:
        ConfigError: The file or variable is missing or empty, or the file can be read by others.
    """
    if login.password_file is not None:
        refuse_open_file(login.password_file, f"{where}.password_file")
        try:
            password = login.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where}.password_file: {login.password_file} can't be read as text") from error
        if not password:
            raise ConfigError(f"{where}.password_file: {login.password_file} is empty; write the password into it")
        return password
    if login.password_env is not None:
        password = environ.get(login.password_env, "")
        if not password:
            raise ConfigError(f"{where}.password_env: {login.password_env} is not set; set it to the password")
        return password
    return None


def refuse_open_file(path: Path, where: str) -> None:
    """Refuse a secret that every user of the machine can read or write.

    Raises:
        ConfigError: It is missing, or its permissions are too wide.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(
            f"{where}: {path} can't be read ({error.strerror}); create it for the agent's user"
        ) from error
    if stat.S_IMODE(mode) & 0o007:
        raise ConfigError(f"{where}: every user of this machine can use {path}; run: chmod 600 {path}")


def plaintext_warning(settings: Mqtt) -> str | None:
    """One sentence when the link goes over a network without TLS; ``None`` when it doesn't."""
    if not settings.plaintext or is_loopback(settings.host):
        return None
    return (
        f"mqtt.plaintext: records and the password travel to {settings.host} without TLS; anyone on the way can read "
        "and change them; remove mqtt.plaintext"
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this very machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in {"localhost", "localhost.localdomain"}


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")
