"""The shadow: candidate and model in charge look at the same live frames, and what they see is counted side by side.

Pure: it is told what both saw and when, and says to go on, to accept, or why to refuse. Quiet hours prove nothing, so
they make the shadow longer, not easier.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.update.golden import Agreement, agreement, strong
from agent.update.refusal import Kind
from agent.update.status import ShadowReport
from agent.update.trial import SURE_SCORE
from agent.values import Detections


@dataclass(frozen=True, slots=True)
class ShadowRules:
    """When a shadow ends, and how.

    Attributes:
        period_s: Between two frames that the candidate sees too.
        least_s: The shortest shadow that can be passed.
        most_s: After so long a quiet place has to do.
        least_frames: Frames that both must have seen, in any case.
        least_seen: Road users that one of the two must have seen, unless the place is quiet.
        least_percent: Of what the model in charge sees, the candidate sees at least so much.
        most_percent: And at most so much.
        least_matched_percent: So much of what the model in charge sees, the candidate sees at the same place.
    """

    period_s: float = 1.0
    least_s: float = 900.0
    most_s: float = 21_600.0
    least_frames: int = 120
    least_seen: int = 100
    least_percent: int = 70
    most_percent: int = 150
    least_matched_percent: int = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a shadow ended: accepted where ``refused`` is ``None``."""

    refused: Kind | None
    why: str


@dataclass(frozen=True, slots=True)
class Shadow:
    """A comparison that is running.

    Attributes:
        rules: When it ends.
        began_s: When it began, seconds of any steady clock.
        frames: Frames that both have seen.
        total: What both saw, added up.
    """

    rules: ShadowRules
    began_s: float
    frames: int = 0
    total: Agreement = field(default=Agreement(0, 0, 0))

    def saw(self, in_charge: Detections, candidate: Detections) -> Shadow:
        """With one more frame."""
        both = agreement(strong(in_charge, SURE_SCORE), strong(candidate, SURE_SCORE))
        return Shadow(self.rules, self.began_s, self.frames + 1, self.total + both)

    def verdict(self, now_s: float) -> Verdict | None:
        """How it ends; ``None`` while it goes on."""
        rules, total, watched_s = self.rules, self.total, now_s - self.began_s
        if self.frames < rules.least_frames:
            return None
        if max(total.expected, total.seen) >= rules.least_seen:
            if refusal := _difference(rules, total):
                return refusal
            if watched_s >= rules.least_s and total.expected >= rules.least_seen:
                return Verdict(None, f"it saw {total.seen} road users where the model in charge saw {total.expected}")
        if watched_s >= rules.most_s:
            return Verdict(None, f"the place is quiet: both saw {total.seen} and {total.expected} road users")
        return None

    def report(self, now_s: float) -> ShadowReport:
        """The comparison so far."""
        return ShadowReport(
            watched_s=round(max(0.0, now_s - self.began_s), 1),
            frames=self.frames,
            in_charge=self.total.expected,
            candidate=self.total.seen,
            matched=self.total.matched,
        )


def _difference(rules: ShadowRules, total: Agreement) -> Verdict | None:
    told = f"it saw {total.seen} road users, the model in charge {total.expected}, {total.matched} of them the same"
    if 100 * total.seen < rules.least_percent * total.expected:
        return Verdict("sees_less", told)
    if 100 * total.seen > rules.most_percent * total.expected:
        return Verdict("sees_more", told)
    if 100 * total.matched < rules.least_matched_percent * total.expected:
        return Verdict("sees_less", told)
    return None
