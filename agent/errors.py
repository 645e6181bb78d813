"""The agent's small tree of errors.

Every message is one sentence that says what is wrong, where, and what to do. Secrets never appear in one. Errors
are caught at the edge of a stage, counted, and logged once.
"""

from __future__ import annotations


class KentonganError(Exception):
    """Anything the agent knows how to explain to a person. The message is that explanation."""

    exit_code = 1


class ConfigError(KentonganError):
    """A configuration can't be used; the message lists every fault, each with file and line."""

    exit_code = 78  # EX_CONFIG of sysexits.h


class SourceError(KentonganError):
    """A camera, stream or file can't be opened or read."""

    exit_code = 66  # EX_NOINPUT


class ModelError(KentonganError):
    """A model file is refused, or its output makes no sense."""

    exit_code = 65  # EX_DATAERR


class OutboxError(KentonganError):
    """The store on disk can't be opened or written."""

    exit_code = 74  # EX_IOERR


class TooSmallError(OutboxError):
    """The store has room, but not for so much at once."""


class BrokerError(KentonganError):
    """The broker refuses, or can't be reached when a command needs it at once."""

    exit_code = 69  # EX_UNAVAILABLE


class OutputError(KentonganError):
    """A file that a command was asked for can't be written."""

    exit_code = 73  # EX_CANTCREAT


class EvidenceError(KentonganError):
    """A clip can't be kept, opened or trusted, or the key to seal it can't be used."""

    exit_code = 65  # EX_DATAERR
