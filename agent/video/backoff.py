"""How long to wait before trying a camera again.

Pure: the same failures and the same random number give the same delay. The cap keeps its promise to a camera that
returns after a long outage: it is used within ten seconds, so the wait never grows past a few. Never sleeps itself.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays with jitter, so that a hundred boxes don't knock on a rebooted switch together.

    Attributes:
        first_s: The delay after the first failure, before jitter.
        factor: How much longer each next one is.
        cap_s: No delay is longer than this.
    """

    first_s: float = 0.25
    factor: float = 2.0
    cap_s: float = 2.5

    def delay_s(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row: between half the exponential delay and all of it.

        Args:
            failures: Failures in a row, 1 or more.
            chance: A random number, 0 to 1.
        """
        # Past 32 doublings the cap has long been reached; the bound keeps the power from overflowing.
        whole_s = min(self.cap_s, self.first_s * self.factor ** min(failures - 1, 32))
        return whole_s * (0.5 + 0.5 * chance)
