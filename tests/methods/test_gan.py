import math

import pytest
import torch
from torch import nn

from latent_ot.methods.gan import GanConfig, VanillaGan
from latent_ot.stage import Spec


def build(shape=(1, 16, 16), **settings):
    torch.manual_seed(0)
    config = GanConfig(**{"batch_size": 8, "latent_dim": 5, **settings})
    return VanillaGan(config, Spec(shape, 100, 10**4, width=0.1))


class Grey(nn.Module):
    """Every code becomes an image of one grey."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, z):
        return self.value.expand(len(z), 1, 16, 16)


class Brightness(nn.Module):
    """The logit is the slope times the mean grey."""

    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, x):
        return self.slope * x.mean((1, 2, 3))[:, None]


@pytest.mark.parametrize("saturating", [False, True])
def test_a_step_of_the_generator_has_the_closed_form_of_its_loss(saturating, train, blobs):
    value, slope = 0.25, -8.0  # the logit is -2: the discriminator wins
    method = build(saturating=saturating)
    method.G, method.D = Grey(value), Brightness(slope)
    method.configure_optimizers = lambda: [
        torch.optim.SGD(method.G.parameters(), lr=1.0),
        torch.optim.SGD(method.D.parameters(), lr=0.0),
    ]
    train(method, blobs(1, 8))
    d = 1 / (1 + math.exp(2))
    assert method.G.value.item() == pytest.approx(value + slope * (d if saturating else 1 - d), rel=1e-5)
    expected = math.log(1 - d) if saturating else -math.log(d)
    assert method.observed["generator"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("network", "low", "norms"), [("mlp", 0, 0), ("infogan", 0, 2), ("dcgan", -1, 1)])
def test_the_discriminator_has_the_range_and_the_norms_of_its_networks(network, low, norms):
    method = build(network=network)
    assert method.data_range == (low, 1)
    assert sum(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in method.D.modules()) == norms


def test_initial_weights_have_the_stated_deviation():
    weights = torch.cat([p.flatten() for net in (build().G, build().D) for p in net.parameters() if p.dim() > 1])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
