"""Lens models: right where they hold, and silent where they fold over."""

import cv2
import numpy as np
import pytest

from pair_drive_core.scene.lens import Lens, largest_radius, project

K = np.array([[1545.0, 0.0, 960.0], [0.0, 1545.0, 560.0], [0.0, 0.0, 1.0]])
PUBLISHED = (-0.356123, 0.172545, -0.00213, 0.000464, -0.05231)
"""Distortion of the cameras of nuPlan and NAVSIM."""


def ray(radius, angle=0.3):
    return np.array([[radius * np.cos(angle), radius * np.sin(angle), 1.0]])


@pytest.mark.parametrize("count", [4, 5, 8, 12, 14])
def test_small_distortions_are_opencvs(count):
    distortion = np.array([-0.05, 0.01, 1e-3, -1e-3, 2e-3, 0.01, 0.0, 0.0, 1e-3, 0, -1e-3, 0, 0.01, -0.02])[:count]
    points = np.random.default_rng(0).uniform([-2, -2, 4], [2, 2, 9], (50, 3))
    pixels, seen = project(points, K, Lens.BROWN, distortion)
    zero = np.zeros(3)
    np.testing.assert_allclose(pixels, cv2.projectPoints(points, zero, zero, K, distortion)[0][:, 0], atol=1e-9)
    assert seen.all()


def test_a_fisheyes_angle_is_what_is_distorted():
    k = (0.01, -0.002, 0.0, 0.0)
    pixels, seen = project(ray(np.tan(1.2), 0.0), K, Lens.FISHEYE, np.array(k))
    assert seen.all()
    assert pixels[0, 0] == pytest.approx(960.0 + 1545.0 * 1.2 * (1 + k[0] * 1.2**2 + k[1] * 1.2**4))
    pixels, _ = project(ray(1.0, 0.0), K, Lens.FISHEYE, np.zeros(0))
    assert pixels[0, 0] == pytest.approx(960.0 + 1545.0 * np.pi / 4)


@pytest.mark.parametrize(
    ("lens", "distortion"),
    [
        (Lens.BROWN, PUBLISHED),
        (Lens.BROWN, (-0.3, 0.0, 0.0, 0.0)),
        (Lens.BROWN, (-0.4, 0.2, 0, 0, -0.05, 0.02, 0.01, 0.0)),
        (Lens.BROWN, (0.0, 0.0, 0.0, 0.0, 0.0, -0.5, 0.0, 0.0)),
        (Lens.FISHEYE, (-0.2, 0.0, 0.0, 0.0)),
    ],
)
def test_beyond_the_radius_where_it_stops_growing_nothing_is_seen(lens, distortion):
    limit = largest_radius(lens, distortion)
    radii = np.linspace(0.0, 3.0, 600)
    pixels, seen = project(np.vstack([ray(radius) for radius in radii]), K, lens, np.array(distortion))
    assert seen[radii < 0.95 * limit].all() and not seen[radii > limit].any()
    distance = np.hypot(*(pixels - K[:2, 2]).T)
    assert (np.diff(distance[seen]) > 0.0).all(), "what is farther out lies farther out in the picture"
    assert np.isfinite(limit)


def test_tangential_terms_fold_too():
    distortion = np.array([0.0, 0.0, 0.4, 0.0, 0.0])
    _, seen = project(np.vstack([ray(radius, -np.pi / 2) for radius in (0.1, 0.3, 0.6)]), K, Lens.BROWN, distortion)
    assert seen.tolist() == [True, True, False]


def test_without_distortion_all_that_lies_ahead_is_seen():
    pixels, seen = project(np.array([[50.0, 0.0, 1.0], [0.0, 0.0, -1.0]]), K, Lens.BROWN, np.zeros(5))
    assert seen.tolist() == [True, False]
    assert pixels[0, 0] == pytest.approx(960.0 + 50 * 1545.0)
    assert largest_radius(Lens.BROWN, (0.0,) * 5) == np.inf
    assert project(np.zeros((0, 3)), K, Lens.BROWN, np.array(PUBLISHED))[0].shape == (0, 2)
