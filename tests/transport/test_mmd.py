import pytest
import torch

from latent_ot.transport.mmd import SCALES, mmd_squared


def normal(seed: int, n: int, d: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def kernel(a: torch.Tensor, b: torch.Tensor, sigma: float) -> float:
    widths = [2 * len(a) * sigma**2 * s for s in SCALES]
    return sum(c / (c + ((a - b) ** 2).sum().item()) for c in widths)


@pytest.mark.parametrize("sigma", [1.0, 0.5])
def test_equals_the_unbiased_double_loop(sigma):
    x, y = normal(0, 7, 3), normal(1, 5, 3, 1.0)
    within_x = sum(kernel(a, b, sigma) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (7 * 6)
    within_y = sum(kernel(a, b, sigma) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (5 * 4)
    between = sum(kernel(a, b, sigma) for a in x for b in y) / (7 * 5)
    assert mmd_squared(x, y, sigma=sigma).item() == pytest.approx(within_x + within_y - 2 * between, abs=1e-12)


@pytest.mark.parametrize("d", [2, 100])
def test_is_zero_on_average_for_one_distribution(d):
    draws = torch.stack([mmd_squared(normal(2 * k, 64, d), normal(2 * k + 1, 64, d)) for k in range(200)])
    assert draws.mean().abs() < 3 * draws.std() / 200**0.5
    assert draws.min() < 0  # a biased estimate would never be negative


@pytest.mark.parametrize("d", [2, 8, 100])
def test_tells_distributions_apart(d):
    assert mmd_squared(normal(0, 100, d), normal(1, 100, d, 3.0)) > 0.1


def test_is_symmetric_and_blind_to_order():
    x, y = normal(0, 30, 4), normal(1, 20, 4, 0.5)
    value = mmd_squared(x, y)
    torch.testing.assert_close(mmd_squared(y, x), value)
    torch.testing.assert_close(mmd_squared(x[torch.randperm(30)], y.flip(0)), value)


def test_gradient_matches_finite_differences():
    x, y = normal(0, 5, 3).requires_grad_(True), normal(1, 6, 3)
    assert torch.autograd.gradcheck(lambda x: mmd_squared(x, y), (x,))


def test_repeated_points_are_finite_in_single_precision():
    x = normal(0, 8, 50).float().repeat(4, 1).requires_grad_(True)
    value = mmd_squared(x, x.detach() + 1e-6)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(x.grad).all()
