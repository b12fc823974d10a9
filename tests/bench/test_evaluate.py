"""No figure in code space depends on the codes' unit: codes times c and a decoder that divides by c are one model."""

import pytest
import torch
from driving import normal, run
from torch import nn

from latent_ot.bench.sampling import draw, draw_between, draw_codes, walk
from latent_ot.bench.train import build
from latent_ot.catalog import Catalog
from latent_ot.methods.base import Method, Pair
from latent_ot.methods.gldo import Gldo, GldoConfig
from latent_ot.methods.glo import Glo, GloConfig
from latent_ot.metrics.latent import score_codes
from latent_ot.metrics.smoothness import smoothness
from latent_ot.samplers.base import spread
from latent_ot.stage import Spec
from latent_ot.transport import semidiscrete

C = 8.0  # a power of 2, so that no rounding decides between neighbours that lie equally far
FIXED = {"normal"}  # a prior that is given: its unit is the codes'
SAMPLERS = sorted(set(Catalog().files["samplers"]) - FIXED)
SMALL = {"sdot": {"tol": 0.5, "threshold": 3.2}}
"""sdot joins all: an angle between planes is not free of the codes' unit."""
COUNT = 60  # codes
KINDS = {2: "plane", 6: "space"}


class Decoder(Method):
    """A fixed decoder of codes that are c times as long."""

    role = "representation"

    def __init__(self, d, c):
        super().__init__(self.Config(), Spec((1, 8, 8), COUNT, 0))
        self.latent_dim, self.c = d, c
        self.weight = nn.Parameter(normal(d, 64, 5))

    def decode(self, z):
        return (z / self.c @ self.weight).sigmoid().view(-1, 1, 8, 8)


def figures(name, d, c, folder):
    """Return every figure of a sampler's codes, and images that it leads to, where codes are c times as long."""
    stage = Catalog().stage("samplers", name)
    small = {"batch_size": 32} if "batch_size" in stage.Config.model_fields else SMALL.get(name, {})
    steps = 4 * small.get("batch_size", 1)
    spec = Spec((d,), COUNT, 10**6 if name == "sdot" else steps, width=0.125)
    sampler = build(stage, stage.Config.build(small, name), spec)
    tilt = torch.linspace(0.5, 2, d)
    codes, held_out = ((3 * normal(COUNT, d, seed) * tilt + 1) * c for seed in (1, 2))
    run(sampler, codes, folder)
    model = Pair(Decoder(d, c), sampler.eval())
    paths = walk(model, 3, 4, 0)
    found = {**sampler.facts(), **score_codes(draw_codes(model, 100, 0), held_out, codes), "walk": smoothness(paths)}
    images = {"walk": paths, "between": draw_between(model, 50, 0, codes), "drawn": draw(model, 50, 0)}
    return found, images


@pytest.mark.parametrize("d", KINDS, ids=KINDS.get)
@pytest.mark.parametrize("name", SAMPLERS)
def test_figures_of_a_sampler_do_not_depend_on_the_unit_of_codes(name, d, tmp_path, monkeypatch):
    monkeypatch.setattr(semidiscrete, "REPORT_POINTS", 20_000)  # a million take a second
    (plain, images), (scaled, others) = (figures(name, d, c, tmp_path / str(c)) for c in (1.0, C))
    words = {key for key, value in plain.items() if isinstance(value, str)}
    assert {key: scaled.pop(key) for key in words} == {key: plain.pop(key) for key in words}
    assert scaled == pytest.approx(plain, rel=1e-5, abs=1e-5)
    for key, drawn in images.items():
        assert (drawn.int() - others[key].int()).abs().max() <= 1, key


@pytest.mark.parametrize(("method", "config"), [(Glo, GloConfig), (Gldo, GldoConfig)])
def test_figures_of_learned_codes_do_not_depend_on_their_unit(method, config, monkeypatch):
    def facts(c):
        torch.manual_seed(0)
        glo = method(config(batch_size=32, latent_dim=5), Spec((1, 16, 16), 64, 640, width=0.1)).double()
        first, x = glo.first_codes().double(), torch.rand(32, 1, 16, 16, generator=torch.Generator().manual_seed(1))
        moved = first + 0.3 * normal(64, 5, 3)
        glo.Z.codes.copy_(c * moved)
        glo.G[0].weight.data /= c
        monkeypatch.setattr(glo, "first_codes", lambda: c * first)
        z = glo.Z.codes[:32].clone().requires_grad_()
        output = glo.G(z)
        (gradient,) = torch.autograd.grad(glo.image_losses(output, x.double()).mean(), z)
        glo.follow(output, x.double(), gradient)
        return {key: value for key, value in glo.facts().items() if key != "lr_z"}, spread(glo.Z.codes)

    (plain, unit), (scaled, other) = facts(1.0), facts(C)
    assert scaled == pytest.approx(plain, rel=1e-5)
    assert other == pytest.approx(C * unit)
    assert plain["code_gradient"] > 1e-4
