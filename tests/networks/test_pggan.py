import math

import pytest
import torch
from driving import count
from torch import nn
from torch.nn import functional as F

from latent_ot.errors import InputError
from latent_ot.networks.pggan import (
    Critic,
    Generator,
    MinibatchStd,
    PixelNorm,
    double,
    equalised,
    level_widths,
    shrink,
    split,
)


def conv(before, after, kernel=3):
    return before * after * kernel**2 + after


@pytest.mark.parametrize("channels", [1, 3])
def test_parameters_of_the_published_table_at_32_pixels(channels):
    shape = (channels, 32, 32)
    blocks = 3 * 2 * conv(512, 512)  # two convolutions at 8, 16 and 32 pixels
    rgb = 4 * conv(512, channels, 1), 4 * conv(channels, 512, 1)
    assert count(Generator(512, shape)) == conv(512, 512, 4) + conv(512, 512) + blocks + rgb[0]
    dense = 16 * 512 * 512 + 512 + 512 + 1
    assert count(Critic(shape)) == rgb[1] + blocks + conv(512 + 1, 512) + dense


@pytest.mark.slow
def test_parameters_of_the_published_table_at_64_pixels():
    blocks = 3 * 2 * conv(512, 512)
    rgb = 4 * conv(512, 3, 1) + conv(256, 3, 1), 4 * conv(3, 512, 1) + conv(3, 256, 1)
    up, down = conv(512, 256) + conv(256, 256), conv(256, 256) + conv(256, 512)
    assert count(Generator(512, (3, 64, 64))) == conv(512, 512, 4) + conv(512, 512) + blocks + up + rgb[0]
    dense = 16 * 512 * 512 + 512 + 512 + 1
    assert count(Critic((3, 64, 64))) == rgb[1] + down + blocks + conv(512 + 1, 512) + dense


def test_widths_are_those_of_the_published_table():
    assert level_widths(9) == [512, 512, 512, 512, 256, 128, 64, 32, 16]
    assert level_widths(5, 0.5) == [256, 256, 256, 256, 128]
    assert level_widths(4, channels=128) == [128] * 4


SIZES = [16, 32, 64, *(pytest.param(size, marks=pytest.mark.slow) for size in (128, 256))]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_size_doubles_from_4_pixels(size, channels):
    shape, levels = (channels, size, size), int(math.log2(size)) - 1
    G, f = Generator(6, shape, 0.02), Critic(shape, 0.02)
    for detail in [0, *(level - share for level in range(1, levels) for share in (0.75, 0))]:
        side = 4 * 2 ** math.ceil(detail)
        x = G(torch.randn(4, 6), detail)
        assert x.shape == (4, channels, side, side)
        assert f(x, detail).shape == (4, 1)
        assert shrink(torch.zeros(2, *shape), detail, levels).shape == (2, channels, side, side)
    assert side == size


@pytest.mark.parametrize("level", [1, 2])
def test_a_fade_begins_at_the_size_before_and_ends_at_the_new_one(level):
    """At alpha = 0 the new level has no say, at alpha = 1 it has the whole, in between it is a line."""
    torch.manual_seed(0)
    G, f = Generator(6, (3, 16, 16), 0.05).double(), Critic((3, 16, 16), 0.05).double()
    z, x = torch.randn(8, 6).double(), torch.randn(8, 3, 4 * 2**level, 4 * 2**level).double()
    assert split(level) == (level, 1.0)
    start, end = level - 1 + 1e-12, level
    assert split(start) == (level, pytest.approx(0, abs=1e-11))
    torch.testing.assert_close(G(z, start), double(G(z, level - 1)))
    torch.testing.assert_close(f(x, start), f(F.avg_pool2d(x, 2), level - 1))
    h = z
    for block in G.blocks[: level + 1]:
        h = block(h)
    torch.testing.assert_close(G(z, end), G.to_rgb[level](h), rtol=0, atol=0)
    torch.testing.assert_close(G(z, level - 0.75), 0.75 * G(z, start) + 0.25 * G(z, end))
    h = f.from_rgb[level](x)
    for number in range(level, -1, -1):
        h = f.blocks[number](h)
    torch.testing.assert_close(f(x, end), h, rtol=0, atol=0)
    old, new = f.from_rgb[level - 1](F.avg_pool2d(x, 2)), f.blocks[level](f.from_rgb[level](x))
    h = 0.75 * old + 0.25 * new
    for number in range(level - 1, -1, -1):
        h = f.blocks[number](h)
    torch.testing.assert_close(f(x, level - 0.75), h)


def test_real_images_are_pooled_and_in_a_fade_blended_with_their_lower_size():
    x = torch.rand(2, 1, 16, 16).double()
    means = x.unflatten(2, (8, 2)).unflatten(4, (8, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(shrink(x, 1.0, 3), means)
    lower = means.unflatten(2, (4, 2)).unflatten(4, (4, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(shrink(x, 0.0, 3), lower)
    blended = 0.7 * lower.repeat_interleave(2, 2).repeat_interleave(2, 3) + 0.3 * means
    torch.testing.assert_close(shrink(x, 0.3, 3), blended)
    assert torch.equal(shrink(x, 2.0, 3), x)


@pytest.mark.parametrize(
    ("layer", "gain", "fan_in"),
    [(nn.Linear(300, 200), 2**0.5, 300), (nn.Conv2d(40, 50, 3), 2**0.5, 40 * 9), (nn.Conv2d(300, 100, 1), 1.0, 300)],
)
def test_stored_weights_have_variance_1_and_those_in_use_are_hes(layer, gain, fan_in):
    layer = equalised(layer, gain)
    stored = layer.parametrizations.weight.original.detach()
    assert stored.var() == pytest.approx(1, rel=0.05)
    assert abs(stored.mean()) < 0.03
    torch.testing.assert_close(layer.weight.detach(), stored * gain / fan_in**0.5)
    assert not layer.bias.any()


def test_every_layer_is_scaled_at_run_time():
    for net in (Generator(6, (1, 8, 8), 0.02), Critic((1, 8, 8), 0.02)):
        names = {name.rsplit(".", 1)[-1] for name, _ in net.named_parameters()}
        assert names == {"original", "bias"}


def test_the_first_layer_is_dense_with_a_bias_for_each_channel():
    G = Generator(6, (1, 8, 8), 0.02).double()
    first, z = G.blocks[0][2], torch.randn(5, 6).double()
    with torch.no_grad():
        first.bias.normal_()
        expected = torch.einsum("nd,cdhw->nchw", z, first.weight.flip(2, 3)) + first.bias[:, None, None]
        torch.testing.assert_close(first(z[:, :, None, None]), expected)
        torch.testing.assert_close(G(z, 1), G(3 * z, 1))  # a code's length does not matter


def test_pixel_norm_has_unit_mean_square_and_keeps_directions():
    x = 5 * torch.randn(3, 7, 4, 4)
    y = PixelNorm()(x)
    torch.testing.assert_close(y.square().mean(dim=1), torch.ones(3, 4, 4))
    torch.testing.assert_close(F.cosine_similarity(x, y), torch.ones(3, 4, 4))


@pytest.mark.parametrize(("n", "groups"), [(8, [[0, 2, 4, 6], [1, 3, 5, 7]]), (4, [[0, 1, 2, 3]]), (3, [[0, 1, 2]])])
def test_the_last_map_is_the_standard_deviation_of_the_group(n, groups):
    x = torch.randn(n, 3, 2, 2).double()
    y = MinibatchStd()(x)
    assert y.shape == (n, 4, 2, 2)
    assert torch.equal(y[:, :3], x)
    for group in groups:
        std = x[group].numpy().std(axis=0).mean()
        torch.testing.assert_close(y[group, 3], torch.full((len(group), 2, 2), std).double())


def test_outputs_are_not_bounded_by_the_head():
    torch.manual_seed(0)
    assert Generator(6, (1, 8, 8), 0.05)(torch.randn(50, 6), 1).abs().max() > 1


@pytest.mark.parametrize("shape", [(2,), (1, 28, 28), (1, 32, 16), (1, 4, 4)])
def test_shapes_that_do_not_fit_are_refused(shape):
    for build in (lambda: Generator(10, shape), lambda: Critic(shape)):
        with pytest.raises(InputError, match="pggan networks"):
            build()
