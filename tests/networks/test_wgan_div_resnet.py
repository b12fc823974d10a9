import pytest
import torch
from driving import count
from torch import nn
from torch.nn import functional as F

from latent_ot.networks.wgan_div_resnet import Critic, Generator, Residual

UP = {  # channels into and out of each block, from 4 pixels on; at 64 the published ones
    32: [(512, 256), (256, 128), (128, 64)],
    64: [(512, 512), (512, 256), (256, 128), (128, 64)],
    256: [(512, 512), (512, 512), (512, 512), (512, 256), (256, 128), (128, 64)],
}
DOWN = {
    32: [(64, 128), (128, 256), (256, 512)],
    64: [(64, 128), (128, 256), (256, 512), (512, 512)],
    256: [(64, 128), (128, 256), (256, 512), (512, 512), (512, 512), (512, 512)],
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 64, 256])
def test_generator_has_the_parameters_of_the_published_table(size, channels):
    blocks = sum(2 * a + 9 * a * b + 2 * b + 9 * b * b + a * b for a, b in UP[size])  # norm, 3x3, norm, 3x3, shortcut
    ends = 128 * 512 * 16 + 512 * 16 + 2 * 64 + 9 * 64 * channels + channels
    assert count(lambda: Generator(128, (channels, size, size))) == blocks + ends


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 64, 256])
@pytest.mark.parametrize("norm", ["layer", "none"])
def test_critic_has_the_parameters_of_the_published_table(size, channels, norm):
    before_each = 2 if norm == "layer" else 0  # scale and shift
    blocks = sum(before_each * 2 * a + 9 * a * a + 9 * a * b + b + a * b + b for a, b in DOWN[size])
    blocks += sum(a for a, _ in DOWN[size]) if norm == "none" else 0  # the bias that a norm makes do without
    ends = 9 * channels * 64 + 64 + 512 * 16 + 1
    assert count(lambda: Critic((channels, size, size), norm=norm)) == blocks + ends


def test_feature_maps_have_the_sizes_of_the_published_table():
    with torch.device("meta"):
        layers, x, sizes = Generator(128, (3, 64, 64)), torch.randn(2, 128), []
        for layer in layers:
            x = layer(x)
            sizes += [tuple(x.shape[1:])] if isinstance(layer, Residual | nn.Unflatten) else []
        assert sizes == [(512, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (64, 64, 64)]
        sizes = []
        for layer in Critic((3, 64, 64)):
            x = layer(x)
            sizes += [tuple(x.shape[1:])] if isinstance(layer, Residual) else []
        assert sizes == [(128, 32, 32), (256, 16, 16), (512, 8, 8), (512, 4, 4)]


def test_shortcuts_convolve_the_resampled_image():
    block = Generator(5, (1, 16, 16), width=0.1)[2]
    x = torch.randn(2, block.shortcut[0].in_channels, 4, 4)
    doubled = F.interpolate(x, scale_factor=2, mode="nearest")
    torch.testing.assert_close(block.shortcut(x), F.conv2d(doubled, block.shortcut[0].weight))
    torch.testing.assert_close(block(x), block.main(x) + block.shortcut(x))
    block, x = Critic((1, 16, 16), width=0.1)[1], torch.randn(2, 6, 16, 16)
    halved = F.interpolate(x, scale_factor=0.5, mode="area")
    torch.testing.assert_close(block.shortcut(x), F.conv2d(halved, block.shortcut[1].weight, block.shortcut[1].bias))


def test_main_paths_start_from_hes_distribution_and_the_rest_from_glorots():
    critic = Critic((3, 16, 16))
    main, shortcut = critic[2].main, critic[2].shortcut  # 128 -> 256 channels
    assert main[2].weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert main[5].weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert shortcut[1].weight.std().item() == pytest.approx((2 / (128 + 256)) ** 0.5, rel=0.02)
    assert critic[0].weight.std().item() == pytest.approx((2 / (9 * (3 + 64))) ** 0.5, rel=0.05)
    assert not any(
        layer.bias.any() for layer in critic.modules() if isinstance(layer, nn.Conv2d) and layer.bias is not None
    )
