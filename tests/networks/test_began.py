import pytest
import torch
from driving import count
from torch import nn

from latent_ot.errors import InputError
from latent_ot.networks.began import Critic, Encoder, Generator


def conv(before, after):
    return before * after * 9 + after


def decoder(stages, channels, n=64, h=64):
    return h * 8 * 8 * n + 8 * 8 * n + stages * 2 * conv(n, n) + conv(n, channels)


@pytest.mark.parametrize("channels", [1, 3])
def test_parameters_at_32_pixels(channels):
    n = 64
    encoder = conv(channels, n) + 2 * conv(n, n) + conv(n, n)  # 32 pixels, and the convolution that halves
    encoder += conv(n, 2 * n) + conv(2 * n, 2 * n) + conv(2 * n, 2 * n)  # 16
    encoder += conv(2 * n, 3 * n) + conv(3 * n, 3 * n)  # 8
    encoder += 8 * 8 * 3 * n * 64 + 64
    assert count(Generator(64, (channels, 32, 32))) == decoder(3, channels)
    assert count(Critic((channels, 32, 32), 64)) == encoder + decoder(3, channels)


def test_parameters_at_64_pixels_with_128_filters():
    n = 128
    encoder = conv(3, n) + 3 * conv(n, n) + conv(n, 2 * n) + 2 * conv(2 * n, 2 * n)
    encoder += conv(2 * n, 3 * n) + 2 * conv(3 * n, 3 * n) + conv(3 * n, 4 * n) + conv(4 * n, 4 * n)
    encoder += 8 * 8 * 4 * n * 64 + 64
    assert count(Encoder((3, 64, 64), 64, filters=128)) == encoder
    assert count(Generator(64, (3, 64, 64), filters=128)) == decoder(4, 3, n=128)


SIZES = [8, 32, 64, *(pytest.param(size, marks=pytest.mark.slow) for size in (128, 256))]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(size, channels):
    shape = (channels, size, size)
    x = Generator(5, shape, width=0.05)(torch.randn(3, 5))
    assert x.shape == (3, *shape)
    assert Encoder(shape, 7, width=0.05)(x).shape == (3, 7)
    assert Critic(shape, 7, width=0.05)(x).shape == (3, *shape)


def test_dense_layers_and_the_last_convolution_are_linear_and_all_pairs_have_elu():
    layers = list(Generator(5, (1, 16, 16), 0.05))
    assert isinstance(layers[-1], nn.Conv2d)
    assert isinstance(layers[1], nn.Unflatten)
    assert sum(isinstance(m, nn.ELU) for m in layers) == 4
    encoder = list(Encoder((1, 16, 16), 5, 0.05))
    assert isinstance(encoder[-1], nn.Linear)
    halving = next(i for i, m in enumerate(encoder) if isinstance(m, nn.Conv2d) and m.stride == (2, 2))
    assert isinstance(encoder[halving + 1], nn.Conv2d)
    assert sum(isinstance(m, nn.ELU) for m in encoder) == 5


def test_initial_weights_are_glorots():
    for layer in Critic((1, 16, 16), 64).modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            fans = (layer.weight[0].numel(), layer.weight.numel() // layer.weight.shape[1])
            assert layer.weight.std().item() == pytest.approx((2 / sum(fans)) ** 0.5, rel=0.1)
            assert not layer.bias.any()


@pytest.mark.parametrize("shape", [(2,), (1, 28, 28), (1, 32, 16), (1, 4, 4)])
def test_shapes_that_do_not_fit_are_refused(shape):
    for build in (lambda: Generator(10, shape), lambda: Critic(shape, 10)):
        with pytest.raises(InputError, match="began networks"):
            build()
