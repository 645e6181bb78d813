"""A Kalman filter over all boxes of a camera at once, for steps of any length.

Centre x, centre y, width and height each have a place and a rate, independent of the others, so a filter is three
numbers of covariance and every step is a handful of array operations. The functions are pure: no array that comes in
changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.vision.tracker_options import TrackerOptions

Array: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.intp]

MOST_MISSING: Final = 0.5
"""What is missing of a box counts as doubt up to this share of three standard deviations."""


@dataclass(frozen=True, slots=True, eq=False)
class Beliefs:
    """What is believed of n boxes; every column is float64 of shape (n, 4): centre x, centre y, width, height.

    Attributes:
        place: Pixels.
        rate: Pixels per second.
        place_var: Variance of the place, pixels squared.
        covariance: Of place and rate, pixels squared per second.
        rate_var: Variance of the rate, pixels squared per second squared.
    """

    place: Array
    rate: Array
    place_var: Array
    covariance: Array
    rate_var: Array

    def __len__(self) -> int:
        return len(self.place)

    @classmethod
    def none(cls) -> Beliefs:
        """No boxes."""
        nothing = np.zeros((0, 4))
        return cls(nothing, nothing, nothing, nothing, nothing)

    def select(self, rows: Rows) -> Beliefs:
        """The rows that an index array names."""
        return Beliefs(
            self.place.take(rows, axis=0),
            self.rate.take(rows, axis=0),
            self.place_var.take(rows, axis=0),
            self.covariance.take(rows, axis=0),
            self.rate_var.take(rows, axis=0),
        )

    def joined(self, other: Beliefs) -> Beliefs:
        """These rows, then the other's."""
        return Beliefs(
            np.concatenate([self.place, other.place]),
            np.concatenate([self.rate, other.rate]),
            np.concatenate([self.place_var, other.place_var]),
            np.concatenate([self.covariance, other.covariance]),
            np.concatenate([self.rate_var, other.rate_var]),
        )

    def put(self, rows: Rows, other: Beliefs) -> None:
        """Write the other's rows over these, in place: only for beliefs that nobody else holds."""
        self.place[rows] = other.place
        self.rate[rows] = other.rate
        self.place_var[rows] = other.place_var
        self.covariance[rows] = other.covariance
        self.rate_var[rows] = other.rate_var

    def sizes(self) -> Array:
        """Box sizes: root of the area, pixels, shape (n,), at least one."""
        return box_sizes(self.place)


def box_sizes(places: Array) -> Array:
    """Root of the area, pixels, shape (n,), at least one, of (centre x, centre y, width, height) rows."""
    sizes: Array = np.sqrt(np.maximum(places[:, 2] * places[:, 3], 1.0))
    return sizes


def measurement_noise(sizes: Array, options: TrackerOptions) -> Array:
    """Standard deviation of a measured centre or size, pixels, same shape as ``sizes``."""
    noise: Array = np.maximum(options.place_noise * sizes, options.place_floor_px)
    return noise


def begin(measured: Array, options: TrackerOptions) -> Beliefs:
    """Beliefs after one look: the place is as measured, the rate is unknown.

    Args:
        measured: Centre x, centre y, width, height in pixels, shape (n, 4).
        options: The tracker's numbers.
    """
    sizes = box_sizes(measured)
    place_var = np.repeat(measurement_noise(sizes, options)[:, None] ** 2, 4, axis=1)
    speeds = np.array([options.first_speed, options.first_speed, options.first_growth, options.first_growth])
    nothing = np.zeros_like(measured)
    return Beliefs(measured.astype(np.float64), nothing, place_var, nothing, (sizes[:, None] * speeds) ** 2)


def predict(beliefs: Beliefs, step_s: float, unseen_s: Array, options: TrackerOptions) -> Beliefs:
    """Beliefs a step later, without a look.

    Constant velocity with white acceleration noise (Bar-Shalom, Li, Kirubarajan 2001, ch. 6.2), whose density scales
    with the box's size; two short steps give what one long step gives. Under perspective a thing that grows also speeds
    up in the picture. Velocity fades in tracks long unseen, and their width and height keep their ratio.

    Args:
        beliefs: n boxes.
        step_s: Seconds, not negative.
        unseen_s: Seconds since each box was last measured, before this step, shape (n,).
        options: The tracker's numbers.
    """
    free_s = np.clip(options.steady_s - unseen_s, 0.0, step_s)[:, None]
    kept = np.exp(-(step_s - free_s) / options.damping_s)
    travel_s = free_s + options.damping_s * (1.0 - kept)
    growth = _growth(beliefs)
    zoom = 1.0 / np.clip(1.0 - growth * travel_s, 0.5, 2.0)
    travel_s, kept = travel_s * zoom, kept * zoom**2
    rate = beliefs.rate.copy()
    hidden = unseen_s > 0.0
    rate[hidden, 2:] = growth[hidden] * beliefs.place[hidden, 2:]
    density = np.array([options.acceleration, options.acceleration, options.growth, options.growth])
    noise = (beliefs.sizes()[:, None] * density) ** 2
    place = beliefs.place + rate * travel_s
    place[:, 2:] = np.maximum(place[:, 2:], 1.0)
    return Beliefs(
        place=place,
        rate=rate * kept,
        place_var=beliefs.place_var
        + travel_s * (2.0 * beliefs.covariance + travel_s * beliefs.rate_var)
        + noise * (step_s**3 / 3.0),
        covariance=kept * (beliefs.covariance + travel_s * beliefs.rate_var) + noise * (step_s**2 / 2.0),
        rate_var=kept**2 * beliefs.rate_var + noise * step_s,
    )


def _growth(beliefs: Beliefs) -> Array:
    """The share by which each whole box grows in a second, shape (n, 1); zero where that is not sure.

    Under perspective a size is inverse to the distance z, so in t seconds it grows by 1 / (1 - t v / z), and movement
    in the picture goes with the size squared. Width and height must agree beyond their own uncertainty (the smaller is
    taken): a box that the picture's edge or a bus cuts grows on one side only.
    """
    growth = beliefs.rate[:, 2:] / beliefs.place[:, 2:]
    doubt = np.sqrt(beliefs.rate_var[:, 2:]) / beliefs.place[:, 2:]
    sure = np.sign(growth) * np.maximum(np.abs(growth) - doubt, 0.0)
    agree = sure[:, :1] * sure[:, 1:] > 0.0
    least: Array = np.where(agree, np.sign(sure[:, :1]) * np.abs(sure).min(axis=1, keepdims=True), 0.0)
    return least


def correct(beliefs: Beliefs, measured: Array, noise_px: Array) -> Beliefs:
    """Beliefs after a look.

    A width or height that surprises by more than three standard deviations means that a part is hidden. Then the
    measured size is trusted less, and so is the centre, which is off by half of what is missing. But never much less:
    when the belief is what was wrong, as of something that came in over the picture's edge, it must be mended soon.

    Args:
        beliefs: n boxes.
        measured: Centre x, centre y, width, height in pixels, shape (n, 4).
        noise_px: Standard deviation of the measurement, shape (n,).
    """
    look_var = np.repeat(noise_px[:, None] ** 2, 4, axis=1)
    surprise = measured - beliefs.place
    usual = 3.0 * np.sqrt(beliefs.place_var[:, 2:] + look_var[:, 2:])
    missing = np.minimum(np.maximum(np.abs(surprise[:, 2:]) - usual, 0.0), MOST_MISSING * usual)
    look_var[:, :2] += (missing / 2.0) ** 2
    look_var[:, 2:] += missing**2
    gain = 1.0 / (beliefs.place_var + look_var)
    place_gain, rate_gain = beliefs.place_var * gain, beliefs.covariance * gain
    place = beliefs.place + place_gain * surprise
    place[:, 2:] = np.maximum(place[:, 2:], 1.0)
    return Beliefs(
        place=place,
        rate=beliefs.rate + rate_gain * surprise,
        place_var=look_var * place_gain,
        covariance=look_var * rate_gain,
        rate_var=beliefs.rate_var - rate_gain * beliefs.covariance,
    )
