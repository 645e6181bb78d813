"""The one error of the maintainer's side."""

from __future__ import annotations

from agent.errors import KentonganError


class ReleaseError(KentonganError):
    """A release command can't be done; the message says why and what to do."""

    exit_code = 65  # EX_DATAERR
