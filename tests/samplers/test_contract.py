"""What every latent sampler keeps, whichever way it is fitted."""

import json
import math
from functools import cache

import pytest
import torch
from driving import assert_interruption_changes_nothing, fit, normal, run, seeded

from latent_ot.bench.train import build
from latent_ot.catalog import Catalog
from latent_ot.errors import InputError
from latent_ot.pictures.plane import save_plane
from latent_ot.stage import Batch, Spec

SAMPLERS = {name: Catalog().stage("samplers", name) for name in Catalog().files["samplers"]}
SMALL = {"sdot": {"tol": 0.3}}
STEPPED = {"flow": "flow", "imle": "mapping", "ot_gen": "map", "ot_trans": "map", "potential": "potential"}
STEPPED |= {"vae2": "autoencoder"}
LEARNING = [name for name, stage in SAMPLERS.items() if not stage.closed_form]


def make(name, n, d, steps=3, seed=0, **settings):
    """Build a small sampler for so many steps."""
    stage = SAMPLERS[name]
    small = {"batch_size": 32} if "batch_size" in stage.Config.model_fields else SMALL.get(name, {})
    config = stage.Config.build({**small, **settings}, name)
    return build(stage, config, Spec((d,), n, steps * getattr(config, "batch_size", 1), width=0.125, seed=seed))


def trained(name, codes, folder, **settings):
    """Fit a sampler as the runner does, whichever kind it is."""
    sampler = make(name, *codes.shape, **settings)
    run(sampler, codes, folder)
    return sampler


def drawn(sampler, n, seed=0):
    with torch.no_grad():
        return sampler.sample(n, seeded(seed))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a sampler of a name on 150 codes of a dimension, fitted once."""

    @cache
    def fit_once(name, d):
        return trained(name, 3 * normal(150, d, 1) + 1, tmp_path_factory.mktemp(name))

    return fit_once


@pytest.mark.parametrize("d", [2, 10])
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.one_quick
def test_a_fitted_sampler_draws_by_its_generator_and_is_all_in_its_state(name, d, fitted):
    sampler = fitted(name, d)
    x = drawn(sampler, 40)
    assert x.shape == (40, d)
    assert x.dtype == torch.float32
    assert x.isfinite().all()
    assert torch.equal(x, drawn(sampler, 40))
    assert not torch.equal(x, drawn(sampler, 40, seed=1))
    if sampler.maps and (name, d) != ("sdot", 10):  # which there draws pairs of codes, too
        with torch.no_grad():
            w = sampler.source(40, seeded())
            assert w.shape == (40, sampler.source_dim)
            assert torch.equal(sampler.transport(w), x)
    copy = make(name, 150, d)
    copy.load_state_dict(sampler.state_dict())
    assert torch.equal(drawn(copy.eval(), 40), x)
    assert copy.facts() == sampler.facts()
    json.dumps(sampler.facts(), allow_nan=False)
    assert name not in STEPPED or sampler.updates == {STEPPED[name]: 3}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.one_quick
def test_the_picture_of_the_plane_is_the_same_bytes_twice_and_changes_nothing(name, fitted, tmp_path):
    sampler = fitted(name, 2)
    before = {key: value.clone() for key, value in sampler.state_dict().items()}
    with torch.no_grad():
        assert fitted(name, 10).plane(seed=0) is None
        assert sampler.plane(seed=0) is not None or name not in {"sdot", "ot_gen", "ot_trans"}
        for picture in ("a.png", "b.png") if sampler.plane(seed=0) else ():
            save_plane(tmp_path / picture, sampler.plane(seed=0))
    assert len({path.read_bytes() for path in tmp_path.glob("*.png")}) <= 1
    assert all(torch.equal(value, before[key]) for key, value in sampler.state_dict().items())


@pytest.mark.parametrize("name", [name for name in LEARNING if name not in {"ot_gen", "potential"}])
def test_no_gradient_reaches_the_codes(name):
    codes = normal(64, 4, 1).requires_grad_()
    sampler = make(name, 64, 4, steps=1)
    sampler.fit(codes.detach())
    before = [p.detach().clone() for p in sampler.parameters()]
    fit(sampler, [Batch(torch.arange(64), codes)])
    assert codes.grad is None
    assert not before or any(not torch.equal(p, q) for p, q in zip(sampler.parameters(), before, strict=True))


EXACT = {"gaussian": 1e-4, "gmm": 1e-6, "kmeans_gauss": 1e-6, "imle": 0.0, "potential": 0.0}
LOOSE = {"normal", "ot_gen", "ot_trans", "sdot"}  # no codes, a network's guess, and none that are all equal


@pytest.mark.parametrize("codes", [torch.ones(1, 4), torch.full((7, 4), 0.1), torch.zeros(3, 2)], ids=["1", "7", "0"])
@pytest.mark.parametrize(
    ("name", "settings"),
    [*((name, {}) for name in SAMPLERS if name not in LOOSE), ("kmeans_gauss", {"covariance": "full"})],
)
def test_codes_all_alike_are_drawn_again(name, settings, codes, tmp_path):
    sampler = trained(name, codes, tmp_path, **settings)
    close = {"atol": EXACT[name], "rtol": 0} if name in EXACT else {}
    torch.testing.assert_close(drawn(sampler, 5), codes[:1].expand(5, -1), **close)
    json.dumps(sampler.facts(), allow_nan=False)


SPAN = [("flow", 1e-4, {}), ("gaussian", 0.01, {}), ("gmm", 0.01, {"components": 3})]
SPAN += [("kmeans_gauss", 0.01, {"components": 3, "covariance": "full"})]


@pytest.mark.parametrize(("name", "most", "settings"), SPAN)
@pytest.mark.parametrize(("n", "d"), [(4, 30), (20, 50)])
def test_fewer_codes_than_dimensions_span_what_they_span(name, most, settings, n, d, tmp_path):
    codes = normal(n, d, 1) + 3
    x = drawn(trained(name, codes, tmp_path, steps=20, **settings), 500) - codes.mean(dim=0)
    span = torch.linalg.svd(codes - codes.mean(dim=0), full_matrices=False).Vh[: n - 1]
    assert (x - x @ span.T @ span).norm() < most * x.norm()


@pytest.mark.parametrize(
    ("name", "most", "settings"),
    [
        ("gaussian", 0.01, {}),
        ("gmm", 0.005, {}),
        ("kmeans_gauss", 1e-5, {}),
        ("kmeans_gauss", 0.005, {"covariance": "full"}),
    ],
)
def test_a_constant_dimension_stays_constant(name, most, settings, tmp_path):
    codes = normal(600, 3, 1)
    codes[:, 1] = 5.0
    x = drawn(trained(name, codes, tmp_path, **settings), 2000)
    assert (x[:, 1] - 5).abs().max() < most
    assert x[:, 0].std() == pytest.approx(codes[:, 0].std().item(), rel=0.1)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in {"normal", "sdot"}])
def test_shift_and_scale_of_the_codes_come_back_in_the_draws(name, tmp_path):
    codes = normal(300, 3, 1)
    plain = drawn(trained(name, codes, tmp_path / "plain", steps=20), 50)
    moved = drawn(trained(name, 1000 * codes + 7, tmp_path / "moved", steps=20), 50)
    torch.testing.assert_close(moved, 1000 * plain + 7, rtol=1e-2, atol=1.0)


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("name", "d", "after", "settings"),
    [
        *((name, 5, 5, {}) for name in LEARNING if name != "sdot"),
        *(("imle", 3, after, {}) for after in (3, 4, 9)),  # epochs have 3 steps: between two, and in them
        ("ot_gen", 2, 5, {"diversity": 1.0}),
        *(("ot_gen", 3, after, {"average": 6}) for after in (5, 6, 9)),  # before, at and in the steps that are averaged
        *(("ot_trans", 2, 5, {"resample_ot": often}) for often in ("once", "per_step")),
        ("potential", 3, 5, {"potentials": "single"}),
        ("sdot", 2, 20, {}),
        ("sdot", 2, 150, {}),
    ],
)
def test_an_interrupted_training_ends_in_the_same_bytes(name, d, after, settings, tmp_path):
    codes = normal(80, d, 1)
    assert_interruption_changes_nothing(lambda: make(name, 80, d, 12, **settings), codes, tmp_path, after)


@pytest.mark.parametrize("name", SAMPLERS)
def test_codes_that_are_not_finite_and_draws_before_the_fit_are_refused(name):
    for value in (math.nan, math.inf):
        with pytest.raises(InputError, match=r"codes: 1 of 10 rows hold NaN or infinity; allowed: finite values"):
            make(name, 10, 2).fit(normal(10, 2).index_fill(0, torch.tensor([3]), value))
    with pytest.raises(InputError, match=f"'{name}' draws nothing before it is fitted"):
        make(name, 10, 2).sample(1, seeded())


WRONG = {
    "flow": {"batch_size": 0, "hidden": 0, "lr": 0, "weight_decay": -1, "noise": 0},
    "gmm": {"components": 0, "max_iter": 0, "tol": 0, "jitter": 0},
    "imle": {"batch_size": 1, "noise_dim": 0, "lr": 0, "beta1": 1, "weight_decay": -1, "halve_every": 0, "pool": 0},
    "kmeans_gauss": {"components": 0, "starts": 0, "covariance": 0, "jitter": 0},
    "ot_gen": {
        "diversity": -1, "diversity_pairs": 0, "batch_size": 1, "lr": -1, "pairs": 5, "reg_loss": "l2", "average": -1,
    },
    "ot_trans": {"pairs": 0, "batch_size": 1, "lr": 0, "reg_loss": "l2", "resample_ot": "never", "squash": "maybe"},
    "potential": {
        "batch_size": 1, "gradient_weight": -1, "potentials": "three", "activation": "relu6", "lr": 0, "layers": 0,
    },
    "sdot": {
        "tol": 0, "mix": 1.5, "join": "angel", "eps": -1, "threshold": -0.1, "neighbours": 0, "max_points": 0,
        "mode": "idv",
    },
    "vae2": {"batch_size": 0, "hidden": 0, "lr": 0, "gamma_lr": -1},
}  # fmt: skip


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, wrong in WRONG.items() for key in wrong])
def test_impossible_settings_are_one_line(name, key):
    with pytest.raises(InputError, match=f"{name}: setting '{key}'") as error:
        SAMPLERS[name].Config.build({key: WRONG[name][key]}, name)
    assert "\n" not in str(error.value)
