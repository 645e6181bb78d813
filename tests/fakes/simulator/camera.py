"""A pinhole camera over a flat road, so that pixels and metres are exact.

World: x to the right, y away from the camera, z up, metres, the camera's foot at the origin. Promises that
``homography`` is the exact map from the ground plane to pixels; there is no lens distortion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PerspectiveCamera:
    """Where the camera hangs and what it sees.

    Attributes:
        width_px: Picture width.
        height_px: Picture height.
        focal_px: Focal length in pixels.
        mast_m: Height above the road.
        pitch_deg: How far it looks down from the horizon.
    """

    width_px: int = 1280
    height_px: int = 720
    focal_px: float = 1000.0
    mast_m: float = 7.0
    pitch_deg: float = 25.0

    def matrix(self) -> Array:
        """The 3 by 4 projection from world metres to pixels."""
        sin, cos = math.sin(math.radians(self.pitch_deg)), math.cos(math.radians(self.pitch_deg))
        rotation = np.array([[1.0, 0.0, 0.0], [0.0, -sin, -cos], [0.0, cos, -sin]])
        offset = -rotation @ np.array([0.0, 0.0, self.mast_m])
        lens = np.array(
            [
                [self.focal_px, 0.0, self.width_px / 2],
                [0.0, self.focal_px, self.height_px / 2],
                [0.0, 0.0, 1.0],
            ]
        )
        projection: Array = lens @ np.column_stack([rotation, offset])
        return projection

    def homography(self) -> Array:
        """The 3 by 3 map from ground metres (x, y, 1) to homogeneous pixels."""
        return self.matrix()[:, [0, 1, 3]]

    def project(self, points_m: Array) -> Array:
        """Pixels, shape (..., 2), of world points, shape (..., 3)."""
        matrix = self.matrix()
        homogeneous = points_m @ matrix[:, :3].T + matrix[:, 3]
        pixels: Array = homogeneous[..., :2] / homogeneous[..., 2:]
        return pixels

    def ground_to_image(self, points_m: Array) -> Array:
        """Pixels, shape (..., 2), of ground points, shape (..., 2)."""
        return self.project(np.concatenate([points_m, np.zeros((*points_m.shape[:-1], 1))], axis=-1))

    def image_to_ground(self, points_px: Array) -> Array:
        """Ground metres, shape (..., 2), of pixels, shape (..., 2), below the horizon."""
        back = np.linalg.inv(self.homography())
        homogeneous = points_px @ back[:, :2].T + back[:, 2]
        metres: Array = homogeneous[..., :2] / homogeneous[..., 2:]
        return metres

    def calibration(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """Four image points in pixels, each with its ground point in metres, as an installer would measure them."""
        ground = [(-4.0, 12.0), (4.0, 12.0), (4.0, 40.0), (-4.0, 40.0)]
        pixels = self.ground_to_image(np.array(ground)).tolist()
        return [((u, v), metres) for (u, v), metres in zip(pixels, ground, strict=True)]

    def boxes(self, xy_m: Array, heading_rad: Array, size_m: tuple[float, float, float]) -> Array:
        """Boxes around upright cuboids that stand on the road.

        Args:
            xy_m: Middle of each footprint, shape (k, 2).
            heading_rad: Direction of travel, shape (k,), 0 along +x.
            size_m: Length, width, height.

        Returns:
            left, top, right, bottom in pixels, shape (k, 4), not clipped to the picture; NaN where a corner lies
            less than a metre in front of the lens.
        """
        length, width, height = size_m
        along = np.stack([np.cos(heading_rad), np.sin(heading_rad)], axis=-1)
        across = np.stack([-along[:, 1], along[:, 0]], axis=-1)
        corners = np.array([[a, b, c] for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (0.0, 1.0)])
        flat = (
            xy_m[:, None, :]
            + corners[None, :, :1] * length * along[:, None, :]
            + corners[None, :, 1:2] * width * across[:, None, :]
        )
        up = np.broadcast_to(corners[None, :, 2:] * height, (len(xy_m), 8, 1))
        points = np.concatenate([flat, up], axis=-1)
        depth = points @ self.matrix()[2, :3] + self.matrix()[2, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = self.project(points)
        boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
        boxes[depth.min(axis=1) < 1.0] = np.nan
        return boxes
