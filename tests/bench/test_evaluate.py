"""What an evaluation measures of methods trained end to end beside their samples, and in which units of codes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from driving import normal, run
from torch import nn

from latent_ot.bench import evaluate
from latent_ot.bench.sampling import draw, draw_between, draw_codes, walk
from latent_ot.bench.train import build
from latent_ot.catalog import Catalog
from latent_ot.datasets.toy import MIXTURES
from latent_ot.errors import Declined
from latent_ot.methods.base import Method, Pair
from latent_ot.methods.gldo import Gldo, GldoConfig
from latent_ot.methods.glo import Glo, GloConfig
from latent_ot.methods.points import Points, PointsConfig
from latent_ot.metrics.latent import score_codes
from latent_ot.metrics.smoothness import smoothness
from latent_ot.samplers.base import spread
from latent_ot.samplers.gaussian import Gaussian, GaussianConfig
from latent_ot.stage import Spec
from latent_ot.transport import semidiscrete

MODES, STD = MIXTURES["ring8"]()
ON_MODES = {"interp_on_mode", "interp_on_mode_across"}


@pytest.fixture
def ring(monkeypatch):
    monkeypatch.setattr(evaluate, "POINTS", 400)
    monkeypatch.setattr(evaluate, "MOMENT_DRAWS", 400)
    monkeypatch.setattr(evaluate, "POINT_PATHS", (30, 5))
    points = np.repeat(MODES, 60, axis=0).astype(np.float32)
    points += STD * np.random.default_rng(0).standard_normal(points.shape).astype(np.float32)
    return SimpleNamespace(train=points, test=points, modes=MODES, mode_std=STD)


def built(name):
    stage = Catalog().stage("methods", name)
    chosen = stage.defaults((2,), {}) | {"network": "toy"}
    return stage(stage.Config.build(chosen, name), Spec((2,), 480, 10**4, 0.1)).eval()


def nearest(x):
    modes = torch.as_tensor(MODES, dtype=x.dtype)
    return modes[torch.cdist(x, modes).argmin(dim=1)]


def near_modes(n, g):
    return nearest(torch.randn(n, 2, generator=g)) + 0.1 * torch.randn(n, 2, generator=g)


def test_a_mixture_shows_what_walks_and_quality_scores_are_worth(ring, monkeypatch):
    model, reasons = built("iwgan"), {}
    monkeypatch.setattr(model, "encode", lambda x: x)
    monkeypatch.setattr(model, "decode", lambda z: z[:, :2])
    far = {"quality_spearman", *ON_MODES}
    assert evaluate._on_modes(model, ring, 0, reasons).keys() == far
    monkeypatch.setattr(model, "sample", near_modes)
    monkeypatch.setattr(model, "decode", lambda z: nearest(z[:, :2]))
    found = evaluate._on_modes(model, ring, 0, reasons)
    assert found["quality_spearman"] > 0.99  # the error is the distance from the mode
    assert found["interp_on_mode"] == found["interp_on_mode_across"] == 1.0
    assert reasons == {}


def test_a_method_without_an_encoder_has_walks_alone_and_says_why(ring):
    reasons = {}
    assert evaluate._on_modes(built("wgan_gp"), ring, 0, reasons).keys() <= ON_MODES
    assert reasons == {"quality_spearman": "a GAN has no encoder; it reconstructs by a search over codes"}


def test_points_that_are_their_own_codes_have_no_quality_scores(ring):
    spec = Spec((2,), 480, 0)
    sampler = Gaussian(GaussianConfig(), spec)
    sampler.fit(torch.from_numpy(ring.train))
    reasons = {}
    found = evaluate._on_modes(Pair(Points(PointsConfig(), spec), sampler), ring, 0, reasons)
    assert found["interp_on_mode"] < 0.3
    assert reasons.keys() == {"quality_spearman"}


def test_codes_of_held_out_data_are_scored_against_the_prior(ring, tmp_path, monkeypatch):
    model, scorer = built("iwgan"), SimpleNamespace(dataset=ring)
    found = evaluate._prior(model, scorer, tmp_path, 0)
    assert found.keys() == {"code_mean_error", "code_covariance_error"}
    assert (tmp_path / "codes.png").exists()
    monkeypatch.setattr(model, "encode", lambda x: model.prior(len(x), torch.Generator().manual_seed(len(x))))
    assert max(evaluate._prior(model, scorer, tmp_path, 0).values()) < 0.5
    with pytest.raises(Declined, match="no encoder"):
        evaluate._prior(built("wgan_gp"), scorer, tmp_path, 0)


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
@pytest.mark.one_quick
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
        glo.Z.codes.data.copy_(c * moved)
        glo.G[0].weight.data /= c
        monkeypatch.setattr(glo, "first_codes", lambda: c * first)
        z = glo.Z(torch.arange(32))
        output = glo.G(z)
        (gradient,) = torch.autograd.grad(glo.image_losses(output, x.double()).mean(), z)
        glo.follow(output, x.double(), gradient)
        return {key: value for key, value in glo.facts().items() if not key.startswith("lr_z")}, spread(glo.codes(x))

    (plain, unit), (scaled, other) = facts(1.0), facts(C)
    assert scaled == pytest.approx(plain, rel=1e-5)
    assert other == pytest.approx(C * unit)
    assert plain["code_gradient"] > 1e-4
