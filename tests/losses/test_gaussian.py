import math

import pytest
import torch

from latent_ot.losses.gaussian import gaussian_nll, kl_to_standard_normal


@pytest.fixture
def draw():
    g = torch.Generator().manual_seed(3)
    return lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)


def test_kl_equals_monte_carlo_to_one_percent(draw):
    mean, log_std = 0.8 * draw(3, 6), 0.4 * draw(3, 6)
    z = mean + log_std.exp() * draw(400_000, 3, 6)
    log_q = torch.distributions.Normal(mean, log_std.exp()).log_prob(z).sum(-1)
    log_p = torch.distributions.Normal(torch.zeros_like(mean), 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_std), (log_q - log_p).mean(0), rtol=0.01, atol=0)


def test_kl_equals_torch_distributions(draw):
    mean, log_std = draw(5, 7), draw(5, 7)
    q = torch.distributions.Normal(mean, log_std.exp())
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(torch.zeros_like(mean), 1.0)).sum(1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_std), expected)


def test_kl_is_zero_at_the_prior_and_positive_elsewhere(draw):
    zero = torch.zeros(2, 4, dtype=torch.float64)
    assert kl_to_standard_normal(zero, zero).abs().max() == 0
    assert (kl_to_standard_normal(0.1 * draw(100, 4), 0.1 * draw(100, 4)) > 0).all()


def test_gaussian_nll_equals_torch_distributions(draw):
    x, mean, log_gamma = draw(4, 2, 3, 3), draw(4, 2, 3, 3), torch.tensor(-0.7, dtype=torch.float64)
    expected = -torch.distributions.Normal(mean, math.exp(-0.7)).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(gaussian_nll(x, mean, log_gamma), expected)


def test_the_best_gamma_is_the_root_mean_squared_error(draw):
    x, mean = draw(6, 1, 4, 4), draw(6, 1, 4, 4)
    log_gamma = (0.5 * (x - mean).square().mean().log()).requires_grad_(True)
    gaussian_nll(x, mean, log_gamma).mean().backward()
    assert abs(log_gamma.grad.item()) < 1e-12
