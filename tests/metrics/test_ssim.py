import numpy as np
import pytest
import torch

from latent_ot.metrics.ssim import ssim


def images(n, seed, size=16, channels=3):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, size, size), generator=g, dtype=torch.uint8)


def test_ssim_of_constant_images_is_the_luminance_term():
    a, b, c1 = 0.2, 0.7, 0.01**2
    x, y = torch.full((2, 1, 16, 16), a, dtype=torch.float64), torch.full((2, 1, 16, 16), b, dtype=torch.float64)
    assert ssim(x, y) == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1), rel=1e-9)


def test_ssim_of_a_batch_is_the_mean_over_its_images(monkeypatch):
    x, y = images(5, 0), images(5, 1)
    alone = np.mean([ssim(x[i : i + 1], y[i : i + 1]) for i in range(5)])
    monkeypatch.setattr("latent_ot.metrics.ssim.CHUNK", 2)
    assert ssim(x, y) == pytest.approx(alone, rel=1e-9)
