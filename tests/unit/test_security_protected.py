"""The report's scenes of vandals, a sample: each deed on a drawn street is found, and light alone is not."""

from __future__ import annotations

import numpy as np
import pytest

from agent.values import Detections
from tests.security import protected, vandals
from tests.unit.test_vision_assets import HEIGHT, WIDTH, street

LOOKS = 130


@pytest.mark.parametrize("deed", [*protected.DEEDS, "nothing"])
def test_given_a_deed_on_a_street_with_shadows_then_it_is_found_and_nothing_before_it(deed: vandals.Deed) -> None:
    acted = vandals.scene(deed, (WIDTH * 3, HEIGHT * 3), seed=3, looks=LOOKS, at=70)
    pictures = [street().repeat(3, 0).repeat(3, 1)]
    looks = vandals.play(acted, pictures, [Detections.empty()])
    told = protected.watch(acted, looks, protected.DEEDS.get(deed, "floor"))
    assert all(look >= acted.at for look, _ in told)
    assert bool(told) == (deed != "nothing")


def test_given_the_same_seed_then_the_scene_is_the_same_to_the_pixel() -> None:
    acted = vandals.scene("added", (WIDTH, HEIGHT), seed=5, looks=20, at=10)
    one, two = (list(vandals.play(acted, [street()], [Detections.empty()])) for _ in range(2))
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(one, two, strict=True))
