import pytest
import torch
from driving import assert_slopes
from torch import nn

from latent_ot.losses.adversarial import wasserstein_critic
from latent_ot.losses.gradient_penalty import divergence_penalty, gradient_norms, gradient_penalty, interpolates, slopes


def linear(dim: int, norm: float) -> nn.Module:
    layer = nn.Linear(dim, 1).double()
    layer.weight.data *= norm / layer.weight.data.norm()
    return nn.Sequential(nn.Flatten(), layer)


@pytest.mark.parametrize("shape", [(7, 3), (5, 1, 4, 4), (5, 3, 4, 4)])
@pytest.mark.parametrize("norm", [0.0, 0.3, 1.0, 2.5])
def test_penalty_of_a_linear_critic_is_its_slope_minus_one_squared(shape, norm):
    points = torch.randn(shape, dtype=torch.float64)
    penalty = gradient_penalty(linear(points[0].numel(), norm), points)
    assert penalty.item() == pytest.approx((norm - 1) ** 2, abs=1e-12)


def test_target_moves_the_slope_that_is_free():
    penalty = gradient_penalty(linear(3, 2.0), torch.randn(4, 3).double(), target=2.0)
    assert penalty.item() == pytest.approx(0, abs=1e-12)


def test_norms_are_each_examples_own():
    critic = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    points = torch.randn(6, 4, dtype=torch.float64)
    together = gradient_norms(critic, points)
    alone = torch.cat([gradient_norms(critic, p[None]) for p in points])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("weight", [1.0, 10.0])
@pytest.mark.parametrize("r", [0.5, 3.0])
def test_estimate_between_two_point_masses_exceeds_their_distance_by_the_soft_penalty(r, weight):
    critic, real, fake = nn.Linear(1, 1).double(), torch.full((4, 1), r).double(), torch.zeros(4, 1).double()
    critic.weight.data.fill_(0.5)
    between = interpolates(real, fake, torch.linspace(0, 1, 4).double())
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.25 / weight)
    for _ in range(100):
        optimizer.zero_grad()
        (wasserstein_critic(critic(real), critic(fake)) + weight * gradient_penalty(critic, between)).backward()
        optimizer.step()
    estimate = -wasserstein_critic(critic(real), critic(fake)).item()
    assert estimate == pytest.approx(r + r**2 / (2 * weight), rel=1e-6)


def test_interpolates_lie_on_each_pairs_own_segment():
    real, fake = torch.rand(3, 1, 2, 2), torch.rand(3, 1, 2, 2)
    mixed = interpolates(real, fake, torch.tensor([0.0, 0.25, 1.0]))
    torch.testing.assert_close(mixed[0], fake[0])
    torch.testing.assert_close(mixed[1], 0.25 * real[1] + 0.75 * fake[1])
    torch.testing.assert_close(mixed[2], real[2])


@pytest.mark.parametrize(("k", "p"), [(2.0, 6.0), (10.0, 6.0), (0.5, 3.0)])
@pytest.mark.parametrize("shape", [(7, 3), (5, 3, 4, 4)])
@pytest.mark.parametrize("norm", [0.0, 0.3, 1.0, 2.5])
def test_divergence_penalty_of_a_linear_critic_is_k_times_a_power_of_its_slope(shape, norm, k, p):
    points = torch.randn(shape, dtype=torch.float64)
    penalty = divergence_penalty(linear(points[0].numel(), norm), points, k, p)
    assert penalty.item() == pytest.approx(k * norm**p, rel=1e-12)


def test_divergence_penalty_is_the_mean_over_examples_with_the_papers_constants():
    points = torch.randn(50, 4, dtype=torch.float64)
    penalty = divergence_penalty(lambda x: 0.5 * x.square().sum(dim=1), points)  # its gradient is the point itself
    assert penalty.item() == pytest.approx(2 * points.norm(dim=1).pow(6).mean().item(), rel=1e-12)


def test_slopes_take_values_that_are_there_already():
    critic = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    points = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(slopes(critic(points), points), gradient_norms(critic, points))


@pytest.mark.parametrize("penalty", [gradient_penalty, divergence_penalty])
def test_parameter_gradients_match_finite_differences_and_are_finite_for_a_flat_critic(penalty):
    critic = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    points, flat = torch.randn(5, 3, dtype=torch.float64), linear(3, 0.0)
    assert_slopes(lambda: penalty(critic, points), [critic[0].weight])
    penalty(flat, points).backward()
    assert torch.isfinite(flat[1].weight.grad).all()
