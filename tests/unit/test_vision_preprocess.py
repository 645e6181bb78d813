"""How frames are laid into a model's input, and boxes back into the frame."""

from __future__ import annotations

import numpy as np
import pytest

from agent.values import Image
from agent.vision.description import IMAGENET_MEAN, IMAGENET_STD, Color, Fit, ModelInput, Scale
from agent.vision.preprocess import PADDING_GREY, Placement, Preprocessor


def picture(width: int = 64, height: int = 32, color: tuple[int, int, int] = (10, 20, 30)) -> Image:
    return np.full((height, width, 3), color, np.uint8)


@pytest.mark.parametrize(
    ("fit", "expected"),
    [(Fit.CENTRE, (0, 4, 64, 24)), (Fit.CORNER, (0, 0, 64, 24)), (Fit.STRETCH, (0, 0, 64, 32))],
)
def test_given_a_wider_frame_when_placed_then_the_fit_decides_where_it_lies(
    fit: Fit, expected: tuple[float, ...]
) -> None:
    placed = Placement.of(128, 48, ModelInput(64, 32, fit=fit))

    assert (placed.left_px, placed.top_px, placed.width_px, placed.height_px) == expected


def test_given_a_sliver_of_a_frame_when_placed_then_it_keeps_at_least_a_pixel() -> None:
    assert Placement.of(4000, 2, ModelInput(64, 32)).height_px == 1


def test_given_boxes_beyond_the_frame_when_brought_back_then_they_are_cut_at_its_edges() -> None:
    placed = Placement.of(128, 48, ModelInput(64, 32))

    boxes = placed.to_source(np.array([[-5, 0, 70, 40], [32, 16, 34, 18]], np.float32))

    np.testing.assert_allclose(boxes, [[0, 0, 128, 48], [64, 24, 68, 28]])


@pytest.mark.parametrize(
    ("color", "scale", "expected"),
    [
        (Color.BGR, Scale.BYTE, (10, 20, 30)),
        (Color.RGB, Scale.BYTE, (30, 20, 10)),
        (Color.RGB, Scale.UNIT, (30 / 255, 20 / 255, 10 / 255)),
        (
            Color.RGB,
            Scale.IMAGENET,
            tuple((v / 255 - m) / s for v, m, s in zip((30, 20, 10), IMAGENET_MEAN, IMAGENET_STD, strict=True)),
        ),
        (
            Color.BGR,
            Scale.IMAGENET,
            tuple(
                (v / 255 - m) / s for v, m, s in zip((10, 20, 30), IMAGENET_MEAN[::-1], IMAGENET_STD[::-1], strict=True)
            ),
        ),
    ],
)
@pytest.mark.parametrize("half", [False, True])
def test_given_one_color_when_loaded_then_every_plane_has_the_value_the_model_expects(
    color: Color, scale: Scale, expected: tuple[float, ...], *, half: bool
) -> None:
    tensor, _ = Preprocessor(ModelInput(64, 32, color, scale, half=half)).load([picture()])

    assert tensor.dtype == (np.float16 if half else np.float32)
    assert tensor.shape == (1, 3, 32, 64)
    np.testing.assert_allclose(tensor[0].reshape(3, -1).T, np.tile(expected, (32 * 64, 1)), rtol=1e-2 if half else 1e-5)


def test_given_bands_when_loaded_then_they_are_grey() -> None:
    tensor, _ = Preprocessor(ModelInput(64, 32)).load([picture(128, 48)])

    np.testing.assert_allclose(tensor[0, :, :4], PADDING_GREY / 255, rtol=1e-6)
    np.testing.assert_allclose(tensor[0, :, 28:], PADDING_GREY / 255, rtol=1e-6)
    np.testing.assert_allclose(tensor[0, 2, 4:28], 10 / 255, rtol=1e-6)


def test_given_frames_of_changing_size_when_loaded_then_nothing_of_the_last_one_stays() -> None:
    used, fresh = Preprocessor(ModelInput(64, 32)), Preprocessor(ModelInput(64, 32))
    used.load([picture(color=(200, 200, 200))])

    again, _ = used.load([picture(32, 64)])
    expected, _ = fresh.load([picture(32, 64)])

    np.testing.assert_array_equal(again, expected)


def test_given_a_frame_when_loaded_then_it_is_not_changed_and_the_buffer_is_reused() -> None:
    image = picture(300, 200)
    before = image.copy()
    loader = Preprocessor(ModelInput(64, 32))

    first, _ = loader.load([image])
    second, _ = loader.load([image])

    assert first is second
    np.testing.assert_array_equal(image, before)


def test_given_fine_stripes_when_reduced_five_times_then_they_become_grey_not_false_stripes() -> None:
    stripes = np.zeros((160, 320, 3), np.uint8)
    stripes[:, ::2] = 255

    tensor, _ = Preprocessor(ModelInput(64, 32)).load([stripes])

    np.testing.assert_allclose(tensor, 0.5, atol=0.01)


def test_given_an_edge_when_placed_then_boxes_of_it_lead_back_to_it() -> None:
    image = np.zeros((200, 310, 3), np.uint8)
    image[60:120, 100:220] = 255
    tensor, (placed,) = Preprocessor(ModelInput(64, 32)).load([image])
    rows, columns = np.nonzero(tensor[0, 0] > 0.5)
    grey = tensor[0, 0, 0, 0]
    inside = tensor[0, 0, rows, columns] > grey + 0.3
    rows, columns = rows[inside], columns[inside]

    box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)

    np.testing.assert_allclose(placed.to_source(box), [[100, 60, 220, 120]], atol=6)
