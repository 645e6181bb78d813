"""Logging for a terminal and for journald, with secrets taken out.

Under systemd each line carries its priority, so that `journalctl -p warning` works; on a terminal it carries a time.
No line ever shows a password, whatever a library below puts into its message.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

from agent.config.redact import Redactor

_PRIORITY: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class JournalFormatter(logging.Formatter):
    """Prefixes each line with its syslog priority, as sd-daemon(3) describes."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as journald wants it."""
        return f"<{_PRIORITY.get(record.levelno, 6)}>{record.name}: {super().format(record)}"


def set_up_logging(verbose: int) -> None:
    """Send the log to standard error: warnings by default under a terminal command, more with -v."""
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        handler.setFormatter(JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    handler.addFilter(Redactor())
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, handlers=[handler], force=True)
