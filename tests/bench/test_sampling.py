"""Walks begin and end at drawn points, and go through the source where a sampler maps one."""

import pytest
import torch
from torch import nn

from latent_ot.bench.sampling import contest, draw, draw_codes, rebuild, walk
from latent_ot.config import Config
from latent_ot.errors import Declined
from latent_ot.methods._inversion import invert, unit_of
from latent_ot.methods.base import Method, Pair
from latent_ot.samplers.base import LatentSampler
from latent_ot.seeding import generator
from latent_ot.stage import Spec


class Square(LatentSampler):
    """Uniform source points, squared."""

    maps = True

    def source(self, n, generator):
        return torch.rand(n, self.dim, generator=generator)

    def transport(self, w):
        return w.square()


class Drawn(LatentSampler):
    def _sample(self, n, generator):
        return torch.rand(n, self.dim, generator=generator)


class Picture(Method):
    """Codes (n, 4) are 2 x 2 images."""

    role = "representation"

    def encode(self, x):
        return x.flatten(1)

    def decode(self, z):
        return z.unflatten(1, (1, 2, 2))


def model(kind):
    sampler = kind(Config(), Spec((4,), 10, 10))
    sampler.fit(torch.rand(10, 4))
    return Pair(Picture(Config(), Spec((1, 2, 2), 10, 10)).eval(), sampler)


@pytest.mark.parametrize("kind", [Square, Drawn])
def test_a_walk_is_straight_in_the_source_or_else_in_the_codes(kind):
    images = walk(model(kind), 3, 5, seed=0).float() / 255
    assert images.shape == (3, 5, 1, 2, 2)
    straight = images.flatten(2).sqrt() if kind is Square else images.flatten(2)
    bend = straight[:, :-2] - 2 * straight[:, 1:-1] + straight[:, 2:]
    assert bend.abs().max() < 0.1 if kind is Square else bend.abs().max() < 0.01  # images are rounded to 1/255
    a, b = torch.rand(6, 4, generator=generator(0, "interpolate")).chunk(2)
    torch.testing.assert_close(straight[:, 0], a, atol=0.05, rtol=0)
    torch.testing.assert_close(straight[:, -1], b, atol=0.05, rtol=0)


def test_codes_are_those_behind_the_samples():
    pair = model(Drawn)
    first = torch.rand(500, 4, generator=generator(3, "sample", 0))
    assert torch.equal(draw_codes(pair, 7, seed=3), first[:7])
    assert torch.equal(draw_codes(pair, 600, seed=3)[:500], first)


def test_rebuilding_gives_the_codes_and_their_images():
    images = torch.randint(0, 256, (5, 1, 2, 2)).float() / 255
    codes, rebuilt, halfway = rebuild(model(Drawn), images, seed=0, steps=3)
    torch.testing.assert_close(codes, images.flatten(1))
    assert torch.equal(rebuilt, (images * 255).round().to(torch.uint8))
    assert halfway is None  # an encoder has no half


class Judged(Picture):
    """Codes are uniform, and the adversary is a normalisation of two by two pixels, whose mean is a score."""

    role = "end_to_end"
    adversary = "D"
    latent_dim = 4

    def __init__(self, *given):
        super().__init__(*given)
        self.D = nn.Sequential(nn.BatchNorm2d(1), nn.AvgPool2d(2))

    def sample_latent(self, n, generator):
        return torch.rand(n, 4, generator=generator)


def test_an_adversary_judges_real_and_generated_examples_apart_as_in_training_and_stays_as_it_is():
    method = Judged(Config(), Spec((1, 2, 2), 10, 10)).eval()
    with torch.no_grad():
        method.D[0].running_mean += 100.0
    before = {name: value.clone() for name, value in method.state_dict().items()}
    real = torch.randint(100, 156, (700, 1, 2, 2), dtype=torch.uint8)
    ours, theirs = contest(method, real, draw(method, len(real), seed=0))
    assert ours.shape == theirs.shape == (700,)
    for part in (*ours.split(500), *theirs.split(500)):
        assert abs(float(part.mean())) < 1e-4  # by their own mean, not by the running one
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert not method.D[0].training
    assert method.D[0].track_running_stats
    method.adversary = None
    with pytest.raises(Declined, match="no adversary"):
        contest(method, real, real)


class Sought(Picture):
    """The same codes, without the encoder."""

    declines = {"encode": "it has none"}

    def infer(self, x, start, steps, unit=None):
        return invert(self.decode, x, start, steps, unit, self.project)


def sought():
    pair = model(Drawn)
    return Pair(Sought(Config(), Spec((1, 2, 2), 10, 10)).eval(), pair.latent)


def test_half_of_a_search_is_a_whole_search_of_half_the_steps():
    images = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    found = rebuild(sought(), images, seed=0, steps=9)
    drawn = torch.rand(500, 4, generator=generator(0, "reconstruct", 0))
    alone = invert(sought().decode, images, drawn[:5], 4, unit_of(drawn)).unflatten(1, (1, 2, 2))
    assert torch.equal(found.halfway, (alone.clamp(0, 1) * 255).round().to(torch.uint8))
    errors = [(x / 255 - images).square().mean() for x in (found.images, found.halfway)]
    assert errors[0] < errors[1]


def test_a_search_does_not_depend_on_how_many_images_are_given():
    images = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        rebuild(sought(), images, seed=0, steps=6).codes[:1], rebuild(sought(), images[:1], seed=0, steps=6).codes
    )
