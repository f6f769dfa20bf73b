"""Time of day and weather, drawn at random, and what they do to a picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

ByteImage = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Daylight:
    """Light and air.

    Attributes:
        sun_azimuth: direction that the sun stands in, rad; in the town frame until a sensor turns it.
        sun_strength: 0 overcast, 1 bright sun.
        sky_rgb: colour of the sky overhead.
        horizon_rgb: colour of the sky at the horizon and of the haze.
        haze_m: distance at which things have lost two thirds of their colour to the haze.
        tint_rgb: factor on each colour.
        rain: 0 dry, 1 heavy: streaks and a wet, darker road.
        noise: standard deviation of the sensor's noise, of 255.
        brightness: factor on the whole picture.
    """

    sun_azimuth: float = 0.8
    sun_strength: float = 0.6
    sky_rgb: tuple[float, float, float] = (110.0, 160.0, 220.0)
    horizon_rgb: tuple[float, float, float] = (188.0, 200.0, 212.0)
    haze_m: float = 260.0
    tint_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    rain: float = 0.0
    noise: float = 0.0
    brightness: float = 1.0


@dataclass(frozen=True)
class _Hour:
    sky_rgb: tuple[float, float, float]
    horizon_rgb: tuple[float, float, float]
    tint_rgb: tuple[float, float, float]
    sun_strength: tuple[float, float]


_HOURS = (
    _Hour((110.0, 160.0, 220.0), (188.0, 200.0, 212.0), (1.0, 1.0, 1.0), (0.5, 1.0)),
    _Hour((95.0, 140.0, 205.0), (235.0, 200.0, 160.0), (1.06, 0.97, 0.86), (0.6, 1.0)),
    _Hour((165.0, 172.0, 180.0), (196.0, 200.0, 204.0), (0.9, 0.92, 0.95), (0.0, 0.2)),
    _Hour((40.0, 52.0, 88.0), (120.0, 100.0, 105.0), (0.5, 0.52, 0.64), (0.0, 0.15)),
)
"""Noon, low sun, overcast, dusk."""


def draw_daylight(rng: np.random.Generator) -> Daylight:
    """A random hour and weather: half of the draws at noon, a fifth of all in rain or fog."""
    hour = _HOURS[int(rng.choice(4, p=(0.5, 0.2, 0.2, 0.1)))]
    rain = float(rng.uniform(0.3, 1.0)) if rng.random() < 0.12 else 0.0
    fog = rng.random() < 0.1
    exposure = float(rng.uniform(0.85, 1.12))
    tint = (hour.tint_rgb[0] * exposure, hour.tint_rgb[1] * exposure, hour.tint_rgb[2] * exposure)
    strength = float(rng.uniform(*hour.sun_strength)) * (0.2 if rain or fog else 1.0)
    haze = float(rng.uniform(45.0, 90.0)) if fog else float(rng.uniform(150.0, 400.0)) / (1.0 + rain)
    return Daylight(
        float(rng.uniform(-np.pi, np.pi)), strength, hour.sky_rgb, hour.horizon_rgb, haze, tint, rain,
        float(rng.uniform(0.0, 4.0)),
    )  # fmt: skip


def expose(picture: ByteImage, light: Daylight, rng: np.random.Generator) -> None:
    """Rain, tint and noise of a finished picture; in place."""
    if light.rain > 0.0:
        _rain(picture, light.rain, rng)
    tint = light.brightness * np.array(light.tint_rgb)
    if (tint != 1.0).any():
        table = np.clip(np.arange(256)[:, None] * tint, 0.0, 255.0).astype(np.uint8)
        picture[:] = cv2.LUT(picture, np.ascontiguousarray(table[None]))
    if light.noise > 0.0:
        grain = rng.standard_normal(picture.shape[:2], dtype=np.float32) * np.float32(light.noise)
        picture[:] = np.clip(picture + grain[..., None], 0.0, 255.0).astype(np.uint8)


def _rain(picture: ByteImage, amount: float, rng: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    count = int(amount * 260)
    at = rng.random((count, 2)) * (width, height)
    length = height * rng.uniform(0.02, 0.06, count)
    layer = picture.copy()
    for (x, y), long in zip(at.tolist(), length.tolist(), strict=True):
        tip = (int(x + 0.15 * long), int(y + long))
        cv2.line(layer, (int(x), int(y)), tip, (205, 210, 215), max(round(height / 700), 1), cv2.LINE_AA)
    cv2.addWeighted(layer, 0.45, picture, 0.55, 0.0, dst=picture)
