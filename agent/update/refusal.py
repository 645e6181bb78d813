"""Why an update was refused or taken back: one small vocabulary, for health messages, tests and the fleet's table.

The first group is The Update Framework's own list of attacks. A refusal never touches the model that is running.
"""

from __future__ import annotations

import errno
from typing import Final, Literal, TypeAlias, get_args

from agent.errors import KentonganError

AttackKind: TypeAlias = Literal[
    "arbitrary_installation",  # bytes that no signed hash knows
    "rollback",  # older metadata than what was already trusted
    "freeze",  # metadata that has expired
    "fast_forward",  # a version number that leaps, to lock out every later one
    "mix_and_match",  # metadata files that never belonged together
    "endless_data",  # more bytes than were announced
    "below_threshold",  # too few valid signatures
    "wrong_target",  # a signed file, but another than the one asked for
    "slow_retrieval",  # a server that trickles
]
TroubleKind: TypeAlias = Literal[
    "wrong_root",  # the root that was pinned at install does not belong to this repository
    "clock_unset",  # expiry can't be judged
    "not_a_repository",  # a portal or proxy answers with a page
    "vanished",  # a file that the metadata names is not there
    "unreachable",
    "malformed",  # signed, but not understood by this version of the agent
    "disk_full",
    "too_big",
    "not_now",  # the box could not take it just then, through no fault of what is new
    "bad_model",  # external data, foreign operators, unknown family, no ONNX
]
RuleKind: TypeAlias = Literal["downgrade", "held", "not_for_this_box", "not_yet", "withdrawn", "known_bad"]
TrialKind: TypeAlias = Literal[
    "crashed",
    "out_of_memory",
    "timed_out",
    "not_finite",
    "too_slow",
    "golden_mismatch",
    "sees_less",
    "sees_more",
    "crash_loop",
    "rate_low",
    "detections_collapsed",
    "load_failed",
    "broker_lost",
    "bad_configuration",
]
Kind: TypeAlias = AttackKind | TroubleKind | RuleKind | TrialKind

ATTACKS: Final = frozenset(get_args(AttackKind))
RULES: Final[frozenset[Kind]] = frozenset(get_args(RuleKind))
"""What a maintainer signed on purpose: no trouble."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class UpdateError(KentonganError):
    """An update that does not happen; ``kind`` is for machines, the message for people."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


def from_os_error(error: OSError, doing: str) -> UpdateError:
    """A refusal for a disk that did not take what an update needs.

    Args:
        error: What the system said.
        doing: What could not be done, as in "keeping the model".
    """
    if error.errno in _NO_ROOM:
        return UpdateError("disk_full", f"the disk is full while {doing}; free some space, the next check tries again")
    return UpdateError("disk_full", f"the disk refuses while {doing}: {error.strerror or error}; check the disk")
