import pytest
import torch
from scipy import ndimage

from latent_ot.losses.laplacian import default_levels, lap1, laplacian_pyramid


def images(n=3, channels=2, size=32):
    return torch.rand(n, channels, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_lap1_of_equal_images_is_zero():
    x = images()
    assert not lap1(x, x).any()


def test_a_constant_shift_lives_only_in_the_low_pass_rest():
    x = images()
    *bands, rest = laplacian_pyramid(x + 0.1, 3)
    *before, rest_before = laplacian_pyramid(x, 3)
    for band, old in zip(bands, before, strict=True):
        torch.testing.assert_close(band, old)
    torch.testing.assert_close(rest, rest_before + 0.1)
    torch.testing.assert_close(lap1(x + 0.1, x), torch.full((3,), 0.1, dtype=torch.float64))


def test_the_pyramid_is_that_of_an_independent_gaussian_filter():
    x = images(1, 1, 16)
    current, got = x[0, 0].numpy(), laplacian_pyramid(x, 2)
    for band in got[:2]:
        smooth = ndimage.gaussian_filter(current, sigma=1.0, mode="nearest", truncate=2.0)
        torch.testing.assert_close(band[0, 0], torch.from_numpy(current - smooth))
        current = smooth.reshape(smooth.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
    torch.testing.assert_close(got[2][0, 0], torch.from_numpy(current))


def test_lap1_is_the_weighted_l1_distance_of_the_paper_up_to_the_number_of_pixels():
    x, y = images(), images().flip(0)
    pyramids = zip(laplacian_pyramid(x, 3), laplacian_pyramid(y, 3), strict=True)
    published = sum(2 ** (2 * j) * (a - b).abs().flatten(1).sum(1) for j, (a, b) in enumerate(pyramids))
    torch.testing.assert_close(lap1(x, y, 3), published / x[0].numel())


def test_lap1_is_a_metric_on_images():
    x, y, z = images().split(1)
    torch.testing.assert_close(lap1(x, y), lap1(y, x))
    assert lap1(x, z) <= lap1(x, y) + lap1(y, z)
    assert lap1(x, y) > 0


@pytest.mark.parametrize(("size", "levels"), [(8, 1), (28, 2), (32, 3), (64, 4), (128, 5)])
def test_levels_follow_the_image_size(size, levels):
    assert default_levels(size) == levels
    assert len(laplacian_pyramid(torch.rand(1, 1, size, size), levels)) == levels + 1
