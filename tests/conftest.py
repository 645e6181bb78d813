"""What holds for every test that Hypothesis makes examples for: one may take as long as it does.

Hypothesis would fail one that took more than 0.2 s by the wall clock. That tells of what else the machine does, not of
the code: the suite runs side by side. What hangs is ended by pytest-timeout.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")
