import math

import pytest
import torch

from latent_ot.metrics.quality import hdr_threshold, quality_scores, reconstruction_errors


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
