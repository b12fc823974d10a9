import pytest
import torch
from torch import nn

from latent_ot.losses.orthogonal import orthogonality


def network():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ELU(), nn.Flatten(), nn.Linear(24, 4), nn.ELU(), nn.Linear(4, 1)
    ).double()
    for layer in (net[0], net[3], net[5]):
        nn.init.orthogonal_(layer.weight)
    return net


def test_orthonormal_rows_cost_nothing_whatever_the_biases():
    net = network()
    nn.init.ones_(net[0].bias)
    assert orthogonality(net).item() == pytest.approx(0, abs=1e-12)


def test_scaled_rows_cost_the_excess_of_their_squared_lengths():
    net = network()
    with torch.no_grad():
        net[0].weight.mul_(2)
        net[5].weight.mul_(0.5)
    assert orthogonality(net).item() == pytest.approx(6 * (4 - 1) + 1 * (1 - 0.25))


def test_equal_rows_cost_both_products():
    net = network()
    with torch.no_grad():
        net[3].weight[1] = net[3].weight[0]
    assert orthogonality(net).item() == pytest.approx(2)


def test_its_gradient_is_that_of_finite_differences():
    layer = nn.Linear(5, 3, bias=False).double()

    def value(weight):
        layer.weight = nn.Parameter(weight)
        return orthogonality(layer)

    weight = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value(weight).backward()
    found, h = layer.weight.grad.clone(), 1e-6
    for index in [(0, 0), (1, 3), (2, 4)]:
        shift = torch.zeros(3, 5, dtype=torch.float64)
        shift[index] = h
        difference = (value(weight + shift) - value(weight - shift)).item() / (2 * h)
        assert found[index].item() == pytest.approx(difference, rel=1e-6)
