import pytest
import torch
from driving import seeded
from scipy.ndimage import gaussian_filter, laplace

from latent_ot.metrics.sharpness import Sharpness, laplacian_variances


def noise(n=6, channels=1, size=17):
    return torch.rand(n, channels, size, size, generator=seeded())


def test_the_variance_is_that_of_an_independent_laplace_filter():
    images = noise()
    inner = [laplace(x[0].double().numpy())[1:-1, 1:-1] for x in images]  # where no border is made up
    assert laplacian_variances(images).numpy() == pytest.approx([x.var() for x in inner])


def test_a_slope_is_flat_and_independent_pixels_have_twenty_times_their_variance():
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    assert laplacian_variances((0.05 * rows + 0.03 * columns)[None, None]).numpy() == pytest.approx(0, abs=1e-12)
    assert laplacian_variances(noise(4, size=200)).mean() == pytest.approx(20 / 12, rel=0.02)  # 4^2 + 4, uniform pixels


def test_images_are_as_sharp_as_themselves_and_blurred_ones_less():
    real = noise().mul(255).byte()
    blurred = torch.from_numpy(gaussian_filter(real.numpy(), (0, 0, 1, 1)))
    assert Sharpness.compute(real, real) == {"sharpness": 1.0}
    assert Sharpness.compute(real, blurred)["sharpness"] < 0.1
    assert Sharpness.compute(torch.full_like(real, 9), real) == {}


def test_colour_counts_by_its_luminance():
    grey = noise()
    assert laplacian_variances(grey.expand(-1, 3, -1, -1)).numpy() == pytest.approx(laplacian_variances(grey).numpy())
    red = torch.cat([grey, torch.zeros(6, 2, 17, 17)], dim=1)
    assert laplacian_variances(red).numpy() == pytest.approx(0.299**2 * laplacian_variances(grey).numpy())
