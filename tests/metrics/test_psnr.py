import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio

from latent_ot.metrics.psnr import CEILING, psnr


def images(n, seed, size=16, channels=3):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, size, size), generator=g, dtype=torch.uint8)


def test_an_error_of_a_tenth_is_twenty_decibels():
    x = 0.9 * torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert psnr(x, x + 0.1) == pytest.approx(20, rel=1e-12)


def test_psnr_is_averaged_over_images_not_over_errors():
    x = torch.zeros(2, 1, 4, 4)
    y = torch.stack([torch.full((1, 4, 4), 0.1), torch.full((1, 4, 4), 0.01)])
    assert psnr(x, y) == pytest.approx((20 + 40) / 2, rel=1e-6)


def test_equal_images_stand_at_the_ceiling_and_every_change_below_it():
    x = images(4, 0, size=32)
    y = x.clone()
    y[:, 0, 0, 0] ^= 1
    assert psnr(x, x) == CEILING
    assert psnr(x, y) < CEILING


def test_psnr_of_uint8_and_of_their_quotients_agree_with_torchmetrics():
    x, y = images(5, 0), images(5, 1)
    theirs = peak_signal_noise_ratio(
        x.double() / 255, y.double() / 255, data_range=(0.0, 1.0), dim=(1, 2, 3), reduction="elementwise_mean"
    )
    assert psnr(x, y) == pytest.approx(float(theirs), rel=1e-6)
    assert psnr(x.double() / 255, y.double() / 255) == pytest.approx(psnr(x, y), rel=1e-12)


def test_values_outside_the_unit_interval_are_clamped():
    x = images(2, 0)
    assert psnr(x.float() / 255 * 1e3, torch.ones(2, 3, 16, 16)) == pytest.approx(
        psnr((x.float() / 255 * 1e3).clamp(0, 1), torch.ones(2, 3, 16, 16))
    )
