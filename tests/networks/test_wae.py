import pytest
import torch
from driving import count
from torch import nn

from latent_ot.networks.wae import Encoder, Generator


def test_at_64_pixels_parameters_are_those_of_the_papers_celeba_table():
    shape, d = (3, 64, 64), 64
    norms = 2 * (128 + 256 + 512)
    down = 25 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
    assert count(lambda: Encoder(shape, d)) == down + norms + 2 * 1024 + 1024 * 4 * 4 * d + d
    up = 25 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3) + 3
    assert count(lambda: Generator(d, shape)) == (d + 1) * 1024 * 8 * 8 + up + norms


def test_at_28_pixels_parameters_are_those_of_the_papers_mnist_table():
    shape, d = (1, 28, 28), 8
    down = 16 * (1 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
    assert count(lambda: Encoder(shape, d)) == down + 2 * (128 + 256 + 512 + 1024) + 1024 * 2 * 2 * d + d
    up = 16 * (1024 * 512 + 512 * 256 + 256 * 1) + 1
    assert count(lambda: Generator(d, shape)) == (d + 1) * 1024 * 7 * 7 + up + 2 * (512 + 256)


@pytest.mark.parametrize(("size", "sides"), [(28, [14, 7, 4, 2]), (64, [32, 16, 8, 4]), (8, [4, 2, 1, 1])])
def test_each_convolution_halves_the_side_rounded_up(size, sides):
    x, found = torch.zeros(2, 1, size, size), []
    for layer in Encoder((1, size, size), 5, 0.02):
        x = layer(x)
        found += [x.shape[-1]] if isinstance(layer, nn.Conv2d) else []
    assert found == sides
