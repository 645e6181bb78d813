from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from agent.config.schema import Ground
from agent.errors import ConfigError
from agent.scene.ground import fit_ground, residuals_m
from tests.fakes.simulator import PerspectiveCamera

CAMERA = PerspectiveCamera()
SIZE = np.array([CAMERA.width_px, CAMERA.height_px])
ROAD = np.array([(-6.0, 12.0), (6.0, 12.0), (6.0, 45.0), (-6.0, 45.0), (0.0, 25.0)])


def picture(metres: np.ndarray) -> np.ndarray:
    relative: np.ndarray = CAMERA.ground_to_image(metres) / SIZE
    return relative


def test_given_exact_points_then_every_point_of_the_road_is_exact() -> None:
    ground = fit_ground(picture(ROAD), ROAD)
    probe = np.array([(-3.0, 15.0), (2.0, 60.0), (5.0, 20.0)])
    np.testing.assert_allclose(ground.metres(picture(probe)), probe, atol=1e-6)
    np.testing.assert_allclose(ground.picture(probe), picture(probe), atol=1e-9)
    assert residuals_m(ground, picture(ROAD), ROAD).max() < 1e-6
    assert ground.homography.shape == (3, 3)


def test_given_points_a_pixel_off_then_the_road_is_a_little_off() -> None:
    rng = np.random.default_rng(1)
    noisy = picture(ROAD) + rng.normal(0, 1, ROAD.shape) / SIZE
    ground = fit_ground(noisy, ROAD)
    assert np.abs(ground.metres(picture(np.array([(0.0, 20.0)]))) - (0.0, 20.0)).max() < 0.3


def test_given_the_sky_then_there_is_no_road() -> None:
    ground = fit_ground(picture(ROAD), ROAD)
    sky = np.array([(0.5, -0.4), (0.5, 0.9)])
    assert ground.below_horizon(sky).tolist() == [False, True]
    assert np.isnan(ground.metres(sky)[0]).all()


def lanes(**more: object) -> dict[str, object]:
    near, far = 12.0, 45.0
    edges = {name: picture(np.array([(x, near), (x, far)])).tolist() for name, x in (("left", -3.5), ("right", 3.5))}
    return {**edges, "width_m": 7.0, "length_m": far - near, **more}


def test_given_lane_edges_and_their_length_then_the_same_road() -> None:
    settings = Ground.model_validate({"lanes": lanes()})
    ground = fit_ground([point.image for point in settings.points], [point.metres for point in settings.points])
    ends = ground.metres(picture(np.array([(0.0, 20.0), (0.0, 30.0)])))
    assert np.hypot(*(ends[1] - ends[0])) == pytest.approx(10.0, abs=1e-6)
    assert Ground.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({}, "not 0; add points, or give lanes"),
        ({"lanes": lanes(), "points": [{"image": (0, 0), "metres": (0, 0)}] * 4}, "not both"),
        ({"lanes": lanes(width_m=0)}, "greater than 0"),
        ({"lanes": lanes(length_m=-1)}, "greater than 0"),
    ],
)
def test_given_a_ground_that_is_no_ground_then_refused(settings: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        Ground.model_validate(settings)


def test_given_three_points_then_refused() -> None:
    with pytest.raises(ConfigError, match="four or more"):
        fit_ground(picture(ROAD)[:3], ROAD[:3])


def test_given_points_on_one_line_then_refused() -> None:
    along = np.array([(0.0, y) for y in (10.0, 20.0, 30.0, 40.0)])
    with pytest.raises(ConfigError, match="on one line in the picture"):
        fit_ground(picture(along), ROAD[:4])
    with pytest.raises(ConfigError, match="on one line in metres"):
        fit_ground(picture(ROAD)[:4], along)


def test_given_three_of_four_on_a_line_then_refused() -> None:
    three = np.array([(0.0, 10.0), (0.0, 20.0), (0.0, 30.0), (5.0, 20.0)])
    with pytest.raises(ConfigError, match="three of the four"):
        fit_ground(three / 50, three)


def test_given_two_points_exchanged_then_the_horizon_is_between_them() -> None:
    with pytest.raises(ConfigError, match=r"horizon between|from where the others"):
        fit_ground(picture(ROAD)[[1, 0, 2, 3]], ROAD[:4])


def test_given_one_point_measured_wrong_then_it_is_named() -> None:
    road = np.vstack([ROAD, [(-6.0, 25.0), (6.0, 25.0), (0.0, 40.0)]])
    wrong = road.copy()
    wrong[4] += (0.0, 14.0)
    with pytest.raises(ConfigError, match=r"point 5 is \d+\.\d m"):
        fit_ground(picture(road), wrong)
