"""The filter matrices against scipy, which the official code uses."""

import numpy as np
import pytest
import torch
from scipy.signal import savgol_filter

from pair_drive_core.scoring.savitzky_golay import filter_matrix, filtered


@pytest.mark.parametrize("samples", [41, 54, 55, 36, 9])
@pytest.mark.parametrize(
    ("window", "order", "derivative"), [(8, 2, 0), (15, 2, 1), (5, 2, 1), (5, 2, 2), (5, 3, 2), (41, 2, 1)]
)
def test_equals_scipy(samples, window, order, derivative):
    signal = np.random.default_rng(0).normal(size=(3, samples))
    expected = savgol_filter(signal, min(window, samples), order, deriv=derivative, delta=0.1, axis=-1)
    matrix = filter_matrix(samples, window, order, derivative, torch.float64, torch.device("cpu")).numpy()
    np.testing.assert_allclose(signal @ matrix, expected, rtol=0, atol=1e-10)


def test_results_are_rounded_to_eight_decimals_in_float64():
    out = filtered(torch.linspace(0, 1, 41, dtype=torch.float64) ** 3, 8, 2)
    assert torch.equal(out, torch.round(out, decimals=8))


def test_windows_not_longer_than_the_order_are_refused():
    with pytest.raises(ValueError, match="more than 3 samples"):
        filtered(torch.zeros(3), 5, 3)
