"""The door key: TLS that verifies, and a client certificate.

Promises TLS 1.2 or newer with the broker's name and certificate checked, and that a key lying open for others to
read is refused. Passwords are read by :mod:`agent.config.secrets`, for every command alike.
"""

from __future__ import annotations

import ssl
from ipaddress import ip_address

from agent.config.schema import Mqtt, Tls
from agent.config.secrets import refuse_readable_by_others
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
        try:
            refuse_readable_by_others(tls.key_file, "mqtt.tls.key_file")
            context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"mqtt.tls: {tls.cert_file} and {tls.key_file} are no certificate and its key in PEM ({error}); "
                "give a pair that belongs together, the key without a passphrase"
            ) from error
    return context


def plaintext_warning(settings: Mqtt) -> str | None:
    """One sentence when the link goes over a network without TLS; ``None`` when it doesn't."""
    return cleartext_warning(settings.host, "mqtt.plaintext") if settings.plaintext else None


def cleartext_warning(host: str, switch: str) -> str | None:
    """One sentence when ``switch`` turned TLS off on the way to another machine; ``None`` for this very one."""
    if is_loopback(host):
        return None
    return (
        f"{switch}: records and the password travel to {host} without TLS; anyone on the way can read and change "
        f"them; remove {switch}"
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this very machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in {"localhost", "localhost.localdomain"}


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")
