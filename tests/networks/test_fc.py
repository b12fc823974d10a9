import pytest
import torch
from driving import count
from torch import nn

from latent_ot.networks.fc import Decoder, Encoder


def kinds(module):
    return [type(layer) for layer in module]


HIDDEN = [nn.Linear, nn.BatchNorm1d, nn.LeakyReLU] * 2


def test_the_layers_are_those_of_the_public_code():
    encoder, decoder = Encoder((1, 28, 28), 8), Decoder(8, (1, 28, 28))
    assert kinds(encoder) == [nn.Flatten, *HIDDEN, nn.Linear]
    assert kinds(decoder) == [*HIDDEN, nn.Linear, nn.Sigmoid, nn.Unflatten]
    sizes = [
        [(layer.in_features, layer.out_features) for layer in net if isinstance(layer, nn.Linear)]
        for net in (encoder, decoder)
    ]
    assert sizes == [[(784, 512), (512, 512), (512, 8)], [(8, 512), (512, 512), (512, 784)]]
    assert {layer.negative_slope for layer in encoder if isinstance(layer, nn.LeakyReLU)} == {0.01}


def test_only_the_last_layer_has_a_bias_beside_the_norms():
    norms = 2 * 2 * 512
    assert count(Encoder((1, 28, 28), 8)) == 784 * 512 + 512 * 512 + 512 * 8 + 8 + norms
    assert count(Decoder(8, (1, 28, 28))) == 8 * 512 + 512 * 512 + 512 * 784 + 784 + norms


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 5, 7)])
def test_shapes_and_range(shape):
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    x = Decoder(4, shape, width=0.1)(z)
    assert x.shape == (6, *shape)
    assert 0 < x.min() < x.max() < 1
    assert Encoder(shape, 4, width=0.1)(x).shape == (6, 4)


def test_the_width_factor_scales_hidden_layers_only():
    encoder = Encoder((1, 28, 28), 8, width=0.25)
    assert [layer.out_features for layer in encoder if isinstance(layer, nn.Linear)] == [128, 128, 8]
    assert Decoder(8, (1, 28, 28), width=1e-6)(torch.randn(3, 8)).shape == (3, 1, 28, 28)  # never less than 1
