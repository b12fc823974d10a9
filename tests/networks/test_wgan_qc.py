import pytest
import torch
from driving import count
from torch import nn
from torch.nn import functional as F

from latent_ot.networks.wgan_qc import Block, Critic, Generator

UP = {  # channels into and out of each block; at 64 pixels two blocks at each size, at 256 one until the last
    32: [(512, 512), (512, 512), (512, 256), (256, 256), (256, 128), (128, 128), (128, 64), (64, 64)],
    64: [*[(512, 512)] * 4, (512, 256), (256, 256), (256, 128), (128, 128), (128, 64), (64, 64)],
    256: [*[(512, 512)] * 4, (512, 256), (256, 128), (128, 64), (64, 64)],
}
DOWN = {
    32: [(64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512), (512, 512)],
    64: [(64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), *[(512, 512)] * 4],
    256: [(64, 64), (64, 128), (128, 256), (256, 512), *[(512, 512)] * 4],
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 64, 256])
def test_generator_has_the_parameters_of_the_published_table(size, channels):
    blocks = 0
    for a, b in UP[size]:
        h = min(a, b)
        blocks += 9 * a * h + 2 * h + 9 * h * b + 2 * b + (a * b + 2 * b if a != b else 0)
    ends = 128 * 512 * 16 + 2 * 512 * 16 + 9 * 64 * channels + channels
    assert count(lambda: Generator(128, (channels, size, size))) == blocks + ends


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 64, 256])
def test_critic_has_the_parameters_of_the_published_table(size, channels):
    blocks = 0
    for a, b in DOWN[size]:
        h = min(a, b)
        blocks += 9 * a * h + h + 9 * h * b + b + (a * b if a != b else 0)
    ends = 9 * channels * 64 + 64 + 512 * 16 + 1
    assert count(lambda: Critic((channels, size, size))) == blocks + ends


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_the_main_path_of_a_block_counts_a_tenth(norm):
    block, x = Block(4, 4, norm), torch.randn(3, 4, 8, 8)
    block.main = nn.Identity()
    torch.testing.assert_close(block(x), F.leaky_relu(1.1 * x, 0.2))


def test_sizes_change_by_nearest_doubling_and_by_means_of_three_by_three():
    generator, critic = Generator(5, (1, 16, 16), width=0.05), Critic((1, 16, 16), width=0.05)
    (up, *_), (down, *_) = (
        [layer for layer in net if isinstance(layer, nn.Upsample | nn.AvgPool2d)] for net in (generator, critic)
    )
    x = torch.arange(16.0).view(1, 1, 4, 4)
    torch.testing.assert_close(up(x)[0, 0, :4, :4], x[0, 0, [0, 0, 1, 1]][:, [0, 0, 1, 1]])
    torch.testing.assert_close(down(x)[0, 0, 1, 1], x[0, 0, 1:4, 1:4].mean())
    assert down(x).shape == (1, 1, 2, 2)


def test_convolutions_start_from_hes_distribution():
    generator, critic = Generator(5, (3, 32, 32)), Critic((3, 32, 32))
    narrow = next(b.main[0] for b in generator if isinstance(b, Block) and b.main[0].out_channels == 128)  # 256 -> 128
    assert narrow.weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    wide = next(b.main[3] for b in critic if isinstance(b, Block) and b.main[3].out_channels == 128)  # 64 -> 128
    assert wide.weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)


def test_the_critic_has_no_normalisation():
    critic = Critic((3, 16, 16), width=0.1)
    assert not any(isinstance(m, nn.BatchNorm2d | nn.GroupNorm) for m in critic.modules())
