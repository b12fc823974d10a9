"""What every pair of networks that methods choose by name shares: sizes, range, norms and what they refuse."""

import re
from functools import cache

import pytest
import torch
from driving import count
from torch import nn

from latent_ot.discovery import discover
from latent_ot.errors import InputError
from latent_ot.networks.base import Family
from latent_ot.networks.families import autoencoder, families, networks

NAMES = sorted(families())
SIZES = [8, 16, 32, 64, *(pytest.param(size, marks=pytest.mark.slow) for size in (128, 256))]
IMAGES = [name for name in NAMES if name != "toy"]
OTHER = {  # sizes that are no powers of 2, and points
    "infogan": [(1, 28, 28)],
    "mlp": [(1, 28, 28), (1, 5, 7)],
    "sdkl": [(1, 12, 12), (1, 28, 28)],
    "toy": [(1,), (2,), (7,)],
    "vaegan": [(1, 28, 28)],
    "wae": [(1, 12, 12), (1, 28, 28), (3, 72, 72)],
}
REACH = {"iwgan_mnist": -1, "sdkl": -1, "wae": -1, "wgan_qc": 0}
"""How far random networks reach to both sides of grey, where not a tenth of the range."""
SQUARES = [(2,), (1, 28, 28), (1, 48, 48), (1, 32, 16), (1, 32, 64), (1, 4, 4), (3, 4, 4), (2, 32, 32), (4, 4)]
FOURS = [(2,), (1, 30, 30), (1, 32, 28), (1, 32, 64), (1, 4, 4)]
REFUSED = {
    "infogan": (FOURS, "multiple of 4"),
    "iwgan_celeba": (SQUARES, "iwgan networks: shape"),
    "iwgan_mnist": (SQUARES, "iwgan networks: shape"),
    "mlp": ([], ""),
    "sdkl": (FOURS, r"SDKL networks: shape .* multiple of 4"),
    "wae": ([*FOURS, (1, 68, 68)], r"WAE networks: shape .* multiple of 4, from 64 on of 8"),
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
        last = families()[name].critic(shape, 7, 0.05, norm=norm)
        assert last(x).shape == (3, 7)
        assert isinstance(last[len(last) - 1], nn.Linear) or name == "iwgan_celeba"
    for length in (5, 64, 128) if hasattr(families()[name], "encoder") else ():
        assert families()[name].encoder(shape, length, 0.05)(x).shape == (3, length)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.one_quick
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


STATED = {  # kernels that their stride does not divide, where a paper or its release states them
    ("DcganNetworks", "generator"): "5 by 2, WGAN-div's release",
    ("DcganNetworks", "critic"): "5 by 2, WGAN-div's release",
    ("VaeganNetworks", "generator"): "5 by 2, VAE/GAN, Table 1",
    ("VaeganNetworks", "critic"): "5 by 2, VAE/GAN, Table 1",
    ("VaeganNetworks", "encoder"): "5 by 2, VAE/GAN, Table 1",
    ("WaeNetworks", "generator"): "5 by 2 for CelebA, WAE, Appendix C",
    ("WaeNetworks", "critic"): "5 by 2 for CelebA, WAE, Appendix C",
    ("WaeNetworks", "encoder"): "5 by 2 for CelebA, WAE, Appendix C",
    ("BeganNetworks", "encoder"): "3 by 2, BEGAN, Section 3.5",
    ("BeganNetworks", "critic"): "3 by 2, BEGAN, Section 3.5",
}
PARTS = [
    (kind, part)
    for kind in discover("networks", Family).values()
    for part in ("generator", "decoder", "critic", "encoder")
    if hasattr(kind, part) and kind.__name__ not in ("ToyNetworks", "PgganNetworks")
]


def visits(layer):
    """Return how often each place inside of the finer side of a layer that changes the side meets its kernel, (h, w).

    That is a transposed convolution's output, or a convolution's gradient in its input, with weights of one.
    """
    kernel, stride = layer.kernel_size, layer.stride
    up = nn.ConvTranspose2d(1, 1, kernel, stride, bias=False)
    nn.init.ones_(up.weight)
    margin = 2 * max(kernel)  # where parts of the kernel hang over the edge
    return up(torch.ones(1, 1, 16, 16))[0, 0, margin:-margin, margin:-margin]


@pytest.mark.one_quick
@pytest.mark.parametrize(("kind", "part"), PARTS, ids=lambda value: getattr(value, "__name__", value))
def test_no_pattern_of_the_strides_period_but_where_a_paper_states_the_kernel(kind, part):
    uneven = set()
    for shape in ((1, 32, 32), (3, 64, 64)):
        arguments = (8, shape, 0.05) if part in ("generator", "decoder") else (shape, 8, 0.05)
        with torch.device("meta"):
            net = getattr(kind, part)(*arguments)
        layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d) and max(m.stride) > 1]
        uneven |= {(layer.kernel_size[0], layer.stride[0]) for layer in layers if visits(layer).std() > 0}
    stated = STATED.get((kind.__name__, part))
    assert {f"{k} by {s}" for k, s in uneven} == ({stated[:6]} if stated else set())


MIRRORS = ["infogan", "dcgan", "sngan", "sngan_resnet", "wgan_div_resnet", "wgan_qc"]  # of these ae's encoder is one
ENCODERS = [name for name in IMAGES if hasattr(families()[name], "encoder") or name in MIRRORS]


@pytest.mark.parametrize("width", [1, 0.5, 0.25])
@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 64)])
def test_an_encoders_last_layer_can_make_any_code_at_any_width(name, shape, width):
    with torch.device("meta"):
        decoder, encoder, _ = autoencoder(name, 128, shape, width)
    last = [m for m in encoder.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
    into = last.in_features if isinstance(last, nn.Linear) else last.weight[0].numel()
    assert into >= 128
    if name in MIRRORS:
        assert count(encoder) == pytest.approx(count(decoder), rel=0.05)


@pytest.mark.parametrize("name", ["sngan_resnet", "dcgan"])
def test_codes_of_noise_span_all_dimensions(name):
    torch.manual_seed(0)
    _, encoder, _ = autoencoder(name, 128, (1, 16, 16), 0.25)
    with torch.no_grad():
        z = encoder(torch.rand(200, 1, 16, 16).mul(2).sub(1)).double()
    values = torch.linalg.svdvals(z - z.mean(dim=0))
    assert int((values > 1e-4 * values[0]).sum()) == 128
