import math

import numpy as np
import pytest
import torch

from datamodules.scene import Augmentation, Scene

POINTS = np.random.default_rng(0).normal(0, 5, (300, 3)).astype(np.float32)
SCENE = Scene(POINTS, np.ones((300, 1), np.float32), np.arange(300))


def augmented(augmentation: Augmentation, seed: int) -> Scene:
    return augmentation(SCENE, torch.Generator().manual_seed(seed))


def linear_part(points: np.ndarray) -> np.ndarray:
    """Return the matrix that the points were multiplied by, and see that there is no more to it."""
    matrix, rest, _, _ = np.linalg.lstsq(POINTS.astype(float), points.astype(float), rcond=None)
    assert rest.max() < 1e-6
    return matrix.T


@pytest.mark.parametrize("up", [1, 2])
def test_a_scene_is_turned_mirrored_and_scaled_about_the_vertical_axis(up: int) -> None:
    horizontal = [axis for axis in range(3) if axis != up]
    augmentation = Augmentation(rotation=math.pi, flips=tuple(horizontal), scaling=0.05, up=up)
    matrices = np.array([linear_part(augmented(augmentation, seed).points) for seed in range(200)])
    scales = matrices[:, up, up]
    assert (scales > 0).all()
    assert (scales.min() < 0.96, scales.max() > 1.04, (np.abs(scales - 1) < 0.0501).all()) == (True, True, True)
    turned = matrices / scales[:, None, None]
    np.testing.assert_allclose(turned @ turned.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (200, 3, 3)), atol=1e-5)
    np.testing.assert_allclose(turned[:, up], np.broadcast_to(np.eye(3)[up], (200, 3)), atol=1e-5)
    assert 70 < (np.linalg.det(turned) < 0).sum() < 130
    # Where nothing is mirrored, the angle goes all around.
    proper = turned[np.linalg.det(turned) > 0]
    angles = np.arctan2(proper[:, horizontal[1], horizontal[0]], proper[:, horizontal[0], horizontal[0]])
    assert np.histogram(angles, bins=4, range=(-math.pi, math.pi))[0].min() > 10


def test_jitter_is_noise_of_the_given_size_on_every_coordinate() -> None:
    noise = augmented(Augmentation(rotation=0, flips=(), scaling=0, jitter=0.02), 0).points - POINTS
    assert 0.015 < noise.std() < 0.02  # less than that of the normal distribution, being cut off
    assert np.abs(noise).max() <= 0.0401
    assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.2


def test_nothing_else_changes_and_the_scene_stays_as_it_was() -> None:
    before = POINTS.copy()
    result = augmented(Augmentation(jitter=0.1), 3)
    assert result.points.dtype == np.float32
    assert result.features is SCENE.features
    assert result.labels is SCENE.labels
    assert np.array_equal(POINTS, before)
    none = augmented(Augmentation(rotation=0, flips=(), scaling=0, jitter=0), 3)
    assert np.array_equal(none.points, POINTS)


def test_the_same_generator_gives_the_same_scene() -> None:
    augmentation = Augmentation(jitter=0.1)
    assert np.array_equal(augmented(augmentation, 5).points, augmented(augmentation, 5).points)
    assert not np.array_equal(augmented(augmentation, 5).points, augmented(augmentation, 6).points)
