"""How often an extension of transport mixes classes, by what an evaluator sees in the decoded codes."""

import copy
from types import SimpleNamespace

import pytest
import torch
from driving import normal, solve
from safetensors.torch import save_file
from torch.nn.functional import one_hot

from latent_ot.bench.evaluate import CODE_DRAWS, _mixing
from latent_ot.bench.follow import Subject
from latent_ot.bench.reconstruct import CODES
from latent_ot.methods.base import Pair
from latent_ot.samplers.gaussian import Gaussian, GaussianConfig
from latent_ot.samplers.sdot import Sdot, SdotConfig
from latent_ot.seeding import generator
from latent_ot.stage import Spec

SIGN = torch.tensor([1.0, 0, 0, 0])
REPRESENTATION = SimpleNamespace(  # the class is whether the first coordinate is positive
    spec=Spec((1, 2, 2), 40, 1),
    project=lambda z: z,
    decode=lambda z: (z[:, :1] > 0).float()[..., None, None].expand(-1, 1, 2, 2),
)


class Halves:
    """An evaluator of two classes: whether the first pixel is bright."""

    classes = True

    def __call__(self, images):
        return None, one_hot((images[:, 0, 0, 0] > 127).long(), 2).float()


SCORER = SimpleNamespace(evaluator=Halves())


@pytest.fixture(scope="module")
def solved():
    """Return the sampler of forty codes in two modes, solved once."""
    z = 0.2 * normal(40, 4) + torch.cat([SIGN.expand(20, 4), -SIGN.expand(20, 4)])
    sampler = Sdot(SdotConfig(tol=0.3), Spec((4,), 40, 1))
    sampler.fit(z)
    return solve(sampler).eval()


def mixing(model, folders, seed):
    return _mixing(Subject(model, folders, seed, SCORER, None, torch.device("cpu")))


@pytest.fixture
def folders(tmp_path, solved):
    """Return the folder of four held-out codes, one of which lies just across the border from its nearest code."""
    z = solved.targets
    border = z[:20][z[:20, 0].argmin()]
    across = torch.where(SIGN > 0, -1e-3, border)
    save_file({"codes": torch.stack([*(z[:3] + 1e-3), across])}, tmp_path / CODES)
    return {"reconstruct": tmp_path}


@pytest.mark.parametrize("eps", [0.8, 1e9])
@pytest.mark.parametrize("refined", [False, True])
def test_shares_are_those_of_the_draws_that_are_scored(eps, refined, solved, folders):
    sampler = copy.deepcopy(solved)
    sampler.eps.fill_(eps)
    model = Pair(REPRESENTATION, sampler)
    if refined:  # a method that has the transport of the pair that it refines
        model = SimpleNamespace(spec=REPRESENTATION.spec, transport=sampler, decode=model.decode, project=model.project)
    mixed, crossing = 0, 0
    for chunk in range(CODE_DRAWS // 500):
        mixture = sampler.mixtures(500, generator(7, "sample", chunk))
        for (i, j), weight in zip(mixture.index.tolist(), mixture.weight.tolist(), strict=True):
            mixed += weight[1] > 0
            crossing += weight[1] > 0 and bool((sampler.targets[i, 0] > 0) != (sampler.targets[j, 0] > 0))
    found = mixing(model, folders, 7)
    assert found == {"neighbour_cross_class_share": 0.25, "cross_class_share": pytest.approx(crossing / mixed)}
    assert mixed > 100
    assert crossing == 0 if eps < 1 else crossing > 100


def test_where_nothing_is_mixed_there_is_no_share_and_other_samplers_have_none(solved, folders):
    sampler = copy.deepcopy(solved)
    sampler.eps.fill_(0)
    assert mixing(Pair(REPRESENTATION, sampler), folders, 0) == {"neighbour_cross_class_share": 0.25}
    gaussian = Gaussian(GaussianConfig(), Spec((4,), 40, 1))
    assert mixing(Pair(REPRESENTATION, gaussian), folders, 0) == {}
