"""Passwords, read once at the start from where the configuration says they are.

Promises to refuse a file that others may read, and never to show, log or keep a password anywhere but in
:class:`~agent.config.schema.Secrets`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from stat import S_IMODE, S_ISREG
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from agent.config.redact import Redactor
from agent.config.schema import Config, Login, Secrets
from agent.errors import ConfigError

LONGEST_BYTES: Final = 4096
_OTHERS: Final = 0o077


def load_secrets(config: Config, environ: Mapping[str, str] | None = None) -> Secrets:
    """Read every password a configuration names.

    Args:
        config: The configuration.
        environ: The environment; that of the process by default.

    Raises:
        ConfigError: A password can't be had, or its file may be read by others; the message lists all of them.
    """
    environment = os.environ if environ is None else environ
    faults: list[str] = []
    found: dict[str, SecretStr] = {}
    for place, login in _logins(config):
        try:
            password = password_of(login, environment)
        except ConfigError as error:
            faults.append(f"{place}: {error}")
            continue
        if password is not None:
            found[place] = SecretStr(password)
    faults += [f"mqtt.tls.key_file: {fault}" for fault in _key_faults(config)]
    if faults:
        raise ConfigError("\n".join(faults))
    cameras = {camera.name: found[place] for camera in config.cameras if (place := _place(camera.name)) in found}
    return Secrets(mqtt=found.get("mqtt.login"), cameras=cameras)


def password_of(login: Login, environ: Mapping[str, str]) -> str | None:
    """The password of a login, from where it says; ``None`` when it names no place.

    Raises:
        ConfigError: It can't be had, or its file may be read by others.
    """
    if login.password_file is not None:
        return _read(login.password_file)
    if login.password_env is not None:
        # The variable's name is not repeated: people put the password itself there.
        password = environ.get(login.password_env)
        if not password:
            raise ConfigError("the variable that password_env names is not set; set it, or use password_file")
        return password
    return None


def refuse_readable_by_others(file: Path, key: str) -> None:
    """Refuse a secret that anybody but its owner may read or change.

    Raises:
        ConfigError: It is no plain file, or its permissions are too wide.
        OSError: It can't be looked at.
    """
    status = file.stat()
    if not S_ISREG(status.st_mode):
        raise ConfigError(f"what {key} names is no plain file; name a file")
    mode = S_IMODE(status.st_mode)
    if mode & _OTHERS:
        raise ConfigError(f"the file that {key} names may be read by others (mode {mode:04o}); chmod 600 it")


def known_secrets(config: Config, secrets: Secrets) -> tuple[str, ...]:
    """Every password in clear, those inside addresses included: for hiding them, and nothing else."""
    own = [secret.get_secret_value() for secret in (secrets.mqtt, *secrets.cameras.values()) if secret is not None]
    return (*own, *(password for camera in config.cameras for password in _in_address(camera.source)))


def hide_in_logs(config: Config, secrets: Secrets, root: logging.Logger | None = None) -> None:
    """Make every handler of the root logger hide the passwords of this configuration."""
    hider = Redactor(known_secrets(config, secrets))
    for handler in (root or logging.getLogger()).handlers:
        handler.addFilter(hider)


def exposed_passwords(config: Config, file: Path) -> tuple[str, ...]:
    """Names of the cameras whose password stands in a configuration file that others may read."""
    if not S_IMODE(file.stat().st_mode) & _OTHERS:
        return ()
    return tuple(camera.name for camera in config.cameras if any(_in_address(camera.source)))


def _logins(config: Config) -> Iterator[tuple[str, Login]]:
    yield "mqtt.login", config.mqtt.login
    for camera in config.cameras:
        yield _place(camera.name), camera.login


def _place(camera: str) -> str:
    return f"cameras[{camera}].login"


def _read(file: Path) -> str:
    """The password in a file; the name of the file is not repeated, it could be the password itself."""
    try:
        refuse_readable_by_others(file, "password_file")
        with file.open("rb") as stream:
            content = stream.read(LONGEST_BYTES + 1)
        password = content.decode()
    except UnicodeDecodeError:
        raise ConfigError("the file that password_file names is not UTF-8; write the password as plain text") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"the file that password_file names can't be read ({_reason(error)}); create it") from None
    password = password.removesuffix("\n").removesuffix("\r")
    if len(content) > LONGEST_BYTES or not password or any(ord(letter) < 32 for letter in password):
        raise ConfigError("the file that password_file names must hold the password and nothing else, on one line")
    return password


def _key_faults(config: Config) -> Iterator[str]:
    key = config.mqtt.tls.key_file
    if key is None:
        return
    try:
        refuse_readable_by_others(key, "key_file")
    except ConfigError as error:
        yield str(error)
    except (OSError, ValueError) as error:
        yield f"{key} can't be read ({_reason(error)}); check the name and who may read it"


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "the name is not usable"


def _in_address(source: str) -> Iterator[str]:
    try:
        netloc = urlsplit(source).netloc
    except ValueError:
        return
    login, at, _ = netloc.rpartition("@")
    _, colon, password = login.partition(":")
    if at and colon and password:
        yield password
        if unquote(password) != password:
            yield unquote(password)
