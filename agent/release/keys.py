"""Key files for signing, made to live on a USB stick in a drawer: encrypted with a passphrase, public part readable.

A stolen stick without its passphrase costs a thief 128 MB of memory and half a second for every guess (scrypt). The
passphrase and the private key are never written, logged, or shown.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from securesystemslib.signer import CryptoSigner, SSlibKey

from agent.release.faults import ReleaseError
from agent.update.durable import Disk

SCRYPT_N: Final = 2**17  # with r=8: 128 MiB, RFC 7914 and OWASP's first choice for stored passwords
_SCRYPT_R: Final = 8
_SCRYPT_P: Final = 1
_SCRYPT_N_LIMIT: Final = 2**20
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The readable part of one key file.

    Attributes:
        path: Where it lies.
        name: What the maintainer calls it.
        key: The public key.
    """

    path: Path
    name: str
    key: SSlibKey


def create_key(path: Path, name: str, passphrase: str, *, scrypt_n: int = SCRYPT_N) -> KeyFile:
    """Make a new Ed25519 key pair and write its file.

    Args:
        path: Where it goes; must not exist.
        name: What to call it.
        passphrase: Protects the private part. Empty is for online keys that a timer must use alone.
        scrypt_n: Cost of one guess.

    Raises:
        ReleaseError: The file exists, or can't be written.
    """
    if path.exists():
        raise ReleaseError(f"{path} already holds a key; choose another folder, or move it away first")
    private = Ed25519PrivateKey.generate()
    public = CryptoSigner(private).public_key
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    sealed = AESGCM(_stretch(passphrase, salt, scrypt_n)).encrypt(
        nonce, private.private_bytes_raw(), public.keyid.encode()
    )
    content = {
        "kentongan_key": _FORMAT,
        "name": name,
        "keyid": public.keyid,
        "public": public.to_dict(),
        "scrypt": {"n": scrypt_n, "salt": salt.hex()},
        "nonce": nonce.hex(),
        "sealed": sealed.hex(),
    }
    try:
        Disk().write(path, json.dumps(content, indent=1).encode())
    except OSError as error:
        raise ReleaseError(f"the key {path} can't be written: {error.strerror}; check the stick") from error
    return KeyFile(path, name, public)


def read_key(path: Path) -> KeyFile:
    """The readable part of a key file; needs no passphrase.

    Raises:
        ReleaseError: It is no key file.
    """
    content = _content(path)
    try:
        key = SSlibKey.from_dict(content["keyid"], dict(content["public"]))
        return KeyFile(path, str(content["name"]), key)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error


def unlock(path: Path, passphrase: str) -> CryptoSigner:
    """The signer of a key file.

    Raises:
        ReleaseError: It is no key file, or the passphrase is not its own.
    """
    content, public = _content(path), read_key(path).key
    try:
        work = int(content["scrypt"]["n"])
        salt, nonce, sealed = (bytes.fromhex(text) for text in (content["scrypt"]["salt"], *_box(content)))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error
    if not 2 <= work <= _SCRYPT_N_LIMIT:
        raise _damaged(path)
    try:
        raw = AESGCM(_stretch(passphrase, salt, work)).decrypt(nonce, sealed, public.keyid.encode())
    except (InvalidTag, ValueError) as error:
        raise ReleaseError(f"{path} does not open: the passphrase is not the one of this key; try again") from error
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(raw), public)


def _box(content: dict[str, Any]) -> tuple[str, str]:
    return content["nonce"], content["sealed"]


def _stretch(passphrase: str, salt: bytes, work: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=work, r=_SCRYPT_R, p=_SCRYPT_P).derive(passphrase.encode())


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReleaseError(f"the key {path} can't be read: {error.strerror}; is the stick in?") from error
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(content, dict) or content.get("kentongan_key") != _FORMAT:
        raise _damaged(path)
    return content


def _damaged(path: Path) -> ReleaseError:
    return ReleaseError(f"{path} is no key file of kentongan, or damaged; use another copy of the key")
