"""Passwords out of every text a person may see.

Promises that a password written inside an address, a query or a pipeline is replaced before the text is shown, and
errs on the side of hiding too much. Never needs to know the password for that; :class:`Redactor` also hides those
it was told.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

HIDDEN: Final = "***"
_SHORTEST_KNOWN: Final = 4
"""A known secret shorter than this is not searched for: hiding every "1" would make a log unreadable."""

_USER_AND_PASSWORD: Final = re.compile(r"://\S*@")
# `rtsp://user:word` with the @ forgotten: hide the word unless it is a port.
_PASSWORD_WITHOUT_AT: Final = re.compile(r"(://[^\s:/@\[]*):(?!\d{1,5}(?:[/?#\s'\",;)\]]|$))\S+")
_NAMED_PASSWORD: Final = re.compile(
    r"((?:pass(?:w(?:or)?d)?|pwd|user-pw|secret|token|auth)[\"']?\s*[=:]\s*)"
    r"(\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|[^\s\"',;]+)",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with every password that can be recognised by its place replaced by ``***``.

    Recognised are user and password in an address (``rtsp://user:word@host``), also where the ``@`` was forgotten,
    and values after ``password=``, ``user-pw=``, ``token:`` and their like.
    """
    text = _USER_AND_PASSWORD.sub(f"://{HIDDEN}@", text)
    text = _PASSWORD_WITHOUT_AT.sub(rf"\1:{HIDDEN}", text)
    return _NAMED_PASSWORD.sub(rf"\1{HIDDEN}", text)


class Redactor(logging.Filter):
    """Hides known secrets and recognisable ones; as a filter on a handler it cleans all that the handler writes.

    Args:
        secrets: The passwords known to this process, also hidden where they stand alone or percent-encoded.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        known = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
        # The longest first, so that a secret that contains another disappears whole.
        self._known = sorted((text for text in known if len(text) >= _SHORTEST_KNOWN), key=len, reverse=True)

    def clean(self, text: str) -> str:
        """The text without any secret."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        return redact(text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record in place; it is always let through."""
        record.msg, record.args = self.clean(_message(record)), ()
        if record.exc_info:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if record.exc_text:
            # A formatter uses this text in place of the exception's own.
            record.exc_text = self.clean(record.exc_text)
        if record.stack_info:
            record.stack_info = self.clean(record.stack_info)
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        # A call with arguments that don't fit its message must not print them in the clear on stderr.
        return f"{record.msg} (logged with arguments that don't fit)"
