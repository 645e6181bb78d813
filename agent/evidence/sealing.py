"""Seals bytes to public keys in the age format (https://age-encryption.org/v1), through the library `rage`.

What is sealed can be opened by whoever holds one of the private keys, with any age program. The box holds none of
them. It makes one key of its own at every start, which is never written down, so that it can read its own ring while
it runs; with the process that key is gone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from agent.errors import EvidenceError
from agent.installation import how_to_add

_SECRET: Final = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]+")
_NO_LIBRARY: Final = f"evidence needs the package pyrage, an extra; install it: {how_to_add('evidence')}"


def _library() -> Any:
    try:
        import pyrage  # noqa: PLC0415 - an extra: those who keep no evidence need none
    except ImportError as error:
        raise EvidenceError(_NO_LIBRARY) from error
    return pyrage


def _recipient(key: str) -> Any:
    age = _library()
    try:
        return age.x25519.Recipient.from_str(key)
    except age.RecipientError as error:
        text = f"evidence can't be sealed to {key[:12]}…, which is no public key; copy it again from `age-keygen -y`"
        raise EvidenceError(text) from error


class Sealer:
    """Seals to some public keys.

    Args:
        keys: Public keys, ``age1…``.

    Raises:
        EvidenceError: A key is none, or the library is not installed.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._age = _library()
        self._owners = [_recipient(key) for key in keys]
        self._own = self._age.x25519.Identity.generate()

    def seal(self, clear: bytes) -> bytes:
        """For the owners of the keys, and nobody else."""
        sealed: bytes = self._age.encrypt(clear, self._owners)
        return sealed

    def seal_readable(self, clear: bytes) -> bytes:
        """For the owners, and for this process as long as it lives."""
        sealed: bytes = self._age.encrypt(clear, [*self._owners, self._own.to_public()])
        return sealed

    def read_back(self, sealed: bytes) -> bytes:
        """Open what :meth:`seal_readable` of this very object sealed.

        Raises:
            EvidenceError: It was sealed by another, or changed since.
        """
        return _open(self._age, sealed, [self._own])


def open_sealed(sealed: bytes, key_file: Path) -> bytes:
    """Open with the private keys of a file as `age-keygen` writes it.

    Raises:
        EvidenceError: The file can't be read or holds no private key, no key fits, or the bytes were changed.
    """
    age = _library()
    try:
        found = _SECRET.findall(key_file.read_text(encoding="utf-8"))
        identities = [age.x25519.Identity.from_str(each) for each in found]
    except (OSError, UnicodeDecodeError, age.IdentityError) as error:
        raise EvidenceError(f"{key_file} can't be read as a private key; give the file age-keygen wrote") from error
    if not identities:
        raise EvidenceError(f"{key_file} holds no private key (AGE-SECRET-KEY-1…); give the file age-keygen wrote")
    return _open(age, sealed, identities)


def new_key() -> tuple[str, str]:
    """A private key and its public one."""
    identity = _library().x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def _open(age: Any, sealed: bytes, identities: Sequence[Any]) -> bytes:
    try:
        clear: bytes = age.decrypt(sealed, identities)
    except age.DecryptError as error:
        raise EvidenceError("it can't be opened: it was sealed to another key, or its bytes were changed") from error
    return clear
