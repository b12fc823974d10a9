import itertools

import pytest
import torch
from driving import count
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

from latent_ot.networks.sngan_resnet import Critic, Generator
from latent_ot.networks.wgan_div_resnet import Residual


def up(before, after):
    """Two 3 x 3 convolutions after a batch normalisation each, and a 1 x 1 shortcut, without biases."""
    return 2 * before + 9 * before * after + 2 * after + 9 * after * after + before * after


def down(before, after, hidden, shortcut=True):
    return 9 * before * hidden + hidden + 9 * hidden * after + after + shortcut * (before * after + after)


@pytest.mark.parametrize("channels", [1, 3])
def test_at_32_pixels_parameters_are_those_of_the_published_table(channels):
    shape = (channels, 32, 32)
    last = 2 * 256 + 256 * channels * 9 + channels
    assert count(Generator(128, shape)) == 129 * 256 * 16 + 3 * up(256, 256) + last
    blocks = down(channels, 128, 128) + down(128, 128, 128) + 2 * down(128, 128, 128, shortcut=False)
    assert count(Critic(shape)) == count(Critic(shape, norm="none")) == blocks + 128
    norms = 3 * 2 * 2 * 128  # before both convolutions of all blocks but the first
    assert count(Critic(shape, norm="layer")) == blocks + 128 + norms
    assert count(Critic(shape, norm="batch")) == blocks + 128 + norms - 3 * 128


def test_at_64_pixels_parameters_are_those_of_the_release():
    widths = [64, 128, 256, 512, 1024]
    pairs = list(itertools.pairwise(widths))
    with torch.device("meta"):
        generator, critic = Generator(128, (3, 64, 64)), Critic((3, 64, 64))
    last = 2 * 64 + 64 * 3 * 9 + 3
    assert count(generator) == 129 * 1024 * 16 + sum(up(wide, narrow) for narrow, wide in pairs) + last
    assert count(critic) == down(3, 64, 64) + sum(down(a, b, a) for a, b in pairs) + 1024 + 1


def sizes(net, x):
    out = []
    for layer in net:
        x = layer(x)
        if isinstance(layer, Residual):
            out.append(tuple(x.shape[1:]))
    return out


def test_feature_maps_have_the_sizes_of_the_tables():
    generator, critic = Generator(8, (3, 32, 32)), Critic((3, 32, 32))
    assert sizes(generator, torch.randn(2, 8)) == [(256, 8, 8), (256, 16, 16), (256, 32, 32)]
    assert sizes(critic, torch.rand(2, 3, 32, 32)) == [(128, 16, 16), (128, 8, 8), (128, 8, 8), (128, 8, 8)]
    generator, critic = Generator(8, (3, 64, 64), 1 / 64), Critic((3, 64, 64), width=1 / 64)
    assert sizes(generator, torch.randn(2, 8)) == [(8, 8, 8), (4, 16, 16), (2, 32, 32), (1, 64, 64)]
    assert sizes(critic, torch.rand(2, 3, 64, 64)) == [(1, 32, 32), (2, 16, 16), (4, 8, 8), (8, 4, 4), (16, 2, 2)]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "side"), [(64, 2), (128, 4), (256, 4)])
def test_the_critic_pools_as_many_pixels_as_the_release(size, side):
    critic = Critic((3, size, size), width=0.02)
    assert sizes(critic, torch.rand(1, 3, size, size))[-1] == (20, side, side)


def test_shortcuts_commute_with_resampling():
    x = torch.randn(2, 26, 8, 8)
    block = Generator(8, (1, 16, 16), width=0.1)[2]
    torch.testing.assert_close(block.shortcut(x), block.shortcut[0](interpolate(x, scale_factor=2)))
    x = torch.randn(2, 13, 8, 8)
    block = Critic((1, 16, 16), width=0.1)[1].eval()
    torch.testing.assert_close(block.shortcut(x), avg_pool2d(block.shortcut[1](x), 2))


def test_features_are_summed_over_pixels():
    critic = Critic((1, 16, 16), width=0.1).eval()
    x = torch.rand(3, 1, 16, 16)
    torch.testing.assert_close(nn.Sequential(*critic)[:-1](x), nn.Sequential(*critic)[:-2](x).flatten(2).sum(2))


def test_a_bias_inside_the_generator_would_change_no_image():
    torch.manual_seed(0)
    generator, z = Generator(8, (1, 16, 16), width=0.1).double(), torch.randn(6, 8, dtype=torch.float64)
    x = generator(z)
    for convolution in [m for m in generator[2].modules() if isinstance(m, nn.Conv2d)]:
        convolution.bias = nn.Parameter(torch.randn(convolution.out_channels, dtype=torch.float64))
    torch.testing.assert_close(generator(z), x, rtol=0, atol=1e-9)


def test_initial_weights_are_glorot_uniform_with_a_gain_on_main_paths():
    critic = Critic((3, 32, 32), norm="none")
    block = critic[1]
    for layer, gain, fan in ((block.main[2], 2**0.5, 9 * 128), (block.shortcut[1], 1, 128), (critic[-1], 1, 64.5)):
        bound = gain * (6 / (2 * fan)) ** 0.5
        assert 0.9 * bound < layer.weight.abs().max() <= bound
    assert not block.main[2].bias.any()


def test_the_largest_singular_value_tends_to_one_in_every_layer():
    torch.manual_seed(0)
    critic, x = Critic((3, 16, 16), width=0.1), torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.normal_()
        for _ in range(300):
            critic(x)
    layers = [m for m in critic.eval().modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len(layers) == 3 + 3 + 2 + 2 + 1
    for layer in layers:
        assert torch.linalg.svd(layer.weight.flatten(1)).S[0].item() == pytest.approx(1, abs=1e-3)
