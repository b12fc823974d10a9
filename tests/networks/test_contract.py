"""What every pair of networks that methods choose by name shares: sizes, range, norms and what they refuse."""

import re
from functools import cache

import pytest
import torch
from torch import nn

from latent_ot.errors import InputError
from latent_ot.networks.families import families, networks

NAMES = sorted(families())
SIZES = [8, 16, 32, 64, *(pytest.param(size, marks=pytest.mark.slow) for size in (128, 256))]
IMAGES = [name for name in NAMES if name != "toy"]
OTHER = {  # sizes that are no powers of 2, and points
    "infogan": [(1, 28, 28)],
    "mlp": [(1, 28, 28), (1, 5, 7)],
    "sdkl": [(1, 12, 12), (1, 28, 28)],
    "toy": [(1,), (2,), (7,)],
    "vaegan": [(1, 28, 28)],
}
REACH = {"iwgan_mnist": -1, "sdkl": -1, "wgan_qc": 0}  # how far to both sides of grey, where not a tenth of the range
SQUARES = [(2,), (1, 28, 28), (1, 48, 48), (1, 32, 16), (1, 32, 64), (1, 4, 4), (3, 4, 4), (2, 32, 32), (4, 4)]
FOURS = [(2,), (1, 30, 30), (1, 32, 28), (1, 32, 64), (1, 4, 4)]
REFUSED = {
    "infogan": (FOURS, "multiple of 4"),
    "iwgan_celeba": (SQUARES, "iwgan networks: shape"),
    "iwgan_mnist": (SQUARES, "iwgan networks: shape"),
    "mlp": ([], ""),
    "sdkl": (FOURS, r"SDKL networks: shape .* multiple of 4"),
    "sngan_resnet": ([*SQUARES, (1, 512, 512)], r"sngan_resnet networks: shape .* allowed"),
    "toy": ([(1, 8, 8)], r"shape \(1, 8, 8\); allowed: points"),
    "vaegan": ([*FOURS, (1, 36, 36)], r"VAE/GAN networks: shape .* multiple of 8"),
    "wgan_div_resnet": (SQUARES, r"wgan_div_resnet networks: shape .*; allowed: \(1 or 3, H, H\)"),
    "wgan_qc": (SQUARES, r"wgan_qc networks: shape .*; allowed: \(1 or 3, H, H\)"),
}


def points_or(name, shape):
    return (2,) if name == "toy" else shape


NORMS = {"sdkl": {"none"}, "toy": {"none"}}  # where not all three of the usual ones
MORE = {"iwgan_celeba": {"instance"}, "iwgan_mnist": {"instance"}, "sngan": {"spectral"}, "sngan_resnet": {"spectral"}}


@cache
def norms(name):
    """Return the norms that a family's critic has: those that it names where it is asked for none of them."""
    with pytest.raises(InputError, match=r"norm .*'nrom' is unknown; allowed: ") as error:
        networks(name, 5, points_or(name, (1, 16, 16)), 0.05, "nrom")
    return re.findall(r"[a-z]+", str(error.value).partition("allowed: ")[2].partition(";")[0])


def check_sizes(name, shape):
    """All maps fit together, the image in the range that it states, a code or score of any length for each image."""
    torch.manual_seed(0)
    generator, critic, (low, high) = networks(name, 10, shape, 0.05)
    x = generator(5 * torch.randn(3, 10))
    assert x.shape == (3, *shape)
    if name != "toy":  # points are passed on as they are
        middle, half = (low + high) / 2, (high - low) / 2
        reach = REACH.get(name, 0.1) * half
        assert low < x.min() < middle - reach
        assert middle + reach < x.max() < high
    assert critic(x).shape == (3, 1)
    for norm in norms(name):
        last = networks(name, 10, shape, 0.05, norm, out_dim=7).critic
        assert last(x).shape == (3, 7)
        assert isinstance(last[len(last) - 1], nn.Linear) or name == "iwgan_celeba"
    for length in (5, 64, 128) if hasattr(families()[name], "encoder") else ():
        assert families()[name].encoder(shape, length, 0.05)(x).shape == (3, length)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_range_at_every_size(name, size, channels):
    check_sizes(name, (channels, size, size))


@pytest.mark.parametrize(("name", "shape"), [(name, shape) for name, shapes in OTHER.items() for shape in shapes])
def test_shapes_and_range_at_other_sizes(name, shape):
    check_sizes(name, shape)


@pytest.mark.parametrize("name", NAMES)
def test_without_batch_norm_a_score_depends_on_its_own_image_only(name):
    x = torch.rand(4, *points_or(name, (3, 16, 16)))
    for norm in set(norms(name)) - {"batch"}:
        critic = networks(name, 5, tuple(x.shape[1:]), 0.1, norm).critic
        critic.train(norm != "spectral")  # whose every forward in training is a step of an iteration
        torch.testing.assert_close(critic(x)[2:3], critic(x[2:3]))


@pytest.mark.parametrize("name", NAMES)
def test_shapes_that_do_not_fit_are_refused(name):
    shapes, said = REFUSED.get(name, (SQUARES, rf"{name} networks: shape .* allowed"))
    family = families()[name]
    for shape in shapes:
        for part in {"generator", "critic", "encoder"} & {*dir(family)}:
            with pytest.raises(InputError, match=said):
                getattr(family, part)(*((10, shape) if part == "generator" else (shape, 10)))


@pytest.mark.parametrize("name", NAMES)
def test_other_norms_are_refused_with_the_nearest(name):
    usual = NORMS.get(name, {"batch", "layer", "none"}) | MORE.get(name, set())
    assert set(norms(name)) == usual
    wrong = {norm[:-1] + "_" + norm[-1]: norm for norm in usual} | dict.fromkeys({"batch", "spectral"} - usual, "")
    for norm, nearest in wrong.items():
        with pytest.raises(InputError, match=rf"norm .*'{norm}' is unknown; .*{nearest and f'nearest: {nearest}'}"):
            networks(name, 5, points_or(name, (1, 16, 16)), 0.05, norm)
