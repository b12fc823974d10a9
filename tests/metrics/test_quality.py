import math

import pytest
import torch
from scipy.stats import chi2

from latent_ot.errors import InputError
from latent_ot.metrics.quality import hdr_threshold, highest_density, quality_scores, reconstruction_errors


def test_errors_are_norms_over_all_values_of_an_example():
    x = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]])
    torch.testing.assert_close(reconstruction_errors(x, torch.zeros_like(x)), torch.tensor([5.0, 2.0]))


def test_an_exact_reconstruction_has_a_finite_gradient():
    x = torch.randn(4, 3)
    rebuilt = x.clone().requires_grad_()
    errors = reconstruction_errors(x, rebuilt)
    errors.sum().backward()
    assert errors.max() <= 1e-6
    assert not rebuilt.grad.any()


def test_the_gradient_of_an_error_is_the_unit_vector_to_the_reconstruction():
    x, rebuilt = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    rebuilt.requires_grad_()
    reconstruction_errors(x, rebuilt).sum().backward()
    torch.testing.assert_close(rebuilt.grad, torch.tensor([[0.6, 0.8]], dtype=torch.float64))


def test_scores_fall_from_one_with_the_error():
    torch.testing.assert_close(quality_scores(torch.tensor([0.0, 1.0, 2.0])), torch.tensor([1, 1 / math.e, math.e**-2]))


@pytest.mark.parametrize("level", [0.05, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("n", [20, 100, 1000])
def test_the_region_holds_its_share_of_the_errors_it_is_made_of(level, n):
    errors = torch.rand(n, generator=torch.Generator().manual_seed(0))
    inside = errors <= hdr_threshold(errors, level)
    assert inside.sum() == round((1 - level) * n)


def test_the_region_rounds_up_and_holds_everything_at_small_levels():
    errors = torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0])
    assert hdr_threshold(errors, 0.05) == 5.0
    assert hdr_threshold(errors, 0.3) == 4.0  # 3.5 of five
    assert hdr_threshold(torch.ones(7), 0.5) == 1.0


@pytest.mark.parametrize("level", [0.05, 0.3])
@pytest.mark.parametrize("d", [1, 5])
def test_of_gaussian_points_the_region_is_the_ball_of_the_chi_square_quantile(d, level):
    n = 200_000
    errors = torch.randn(n, d, generator=torch.Generator().manual_seed(d)).norm(dim=1)
    region = highest_density(errors, level)
    assert region.threshold**2 == pytest.approx(chi2.ppf(1 - level, d), rel=0.02)
    deviation = (level * (1 - level) * (1 / region.fitted + 1 / region.tested)) ** 0.5
    assert region.reached == pytest.approx(level, abs=4 * deviation)
    assert (region.fitted, region.tested) == (n // 2, n // 2)


def test_a_region_needs_errors_to_be_set_and_tested():
    assert highest_density(torch.tensor([1.0, 3.0, 2.0]), 0.5) == (1.0, 2, 1.0, 1)
    with pytest.raises(InputError, match="1 held-out images; allowed: 2 or more"):
        highest_density(torch.ones(1), 0.5)
