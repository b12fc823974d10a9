import math

import numpy as np
import ot
import pytest
import torch
from driving import normal

from latent_ot.metrics import latent
from latent_ot.metrics.latent import score_codes
from latent_ot.samplers.gaussian import Gaussian, GaussianConfig
from latent_ot.stage import Spec


def rms(codes):
    return (codes.double() - codes.double().mean(dim=0)).square().sum(dim=1).mean().sqrt().item()


def distances(a, b):
    return (a[:, None].double() - b[None].double()).norm(dim=2)


def by_definition(drawn, held_out, training):
    size = min(len(drawn), len(held_out))
    uniform = np.full(size, 1 / size)
    cost = distances(drawn[:size], held_out[:size]).square().numpy()
    between = distances(held_out, drawn)
    radii = [distances(x, x).sort(dim=1).values[:, 5] for x in (held_out, drawn)]  # column 0 is the code itself
    own = distances(training, training)
    usual = own.masked_fill(own == 0, math.inf).min(dim=1).values.median()
    return {
        "code_w2": math.sqrt(ot.emd2(uniform, uniform, cost)) / rms(training),
        "code_recall": float((between < radii[1]).any(dim=1).double().mean()),
        "code_precision": float((between < radii[0][:, None]).any(dim=0).double().mean()),
        "code_repeats": float((distances(drawn, training).min(dim=1).values < 1e-3 * usual).double().mean()),
    }


@pytest.mark.parametrize(("n", "m", "d"), [(60, 60, 3), (80, 50, 20), (50, 80, 2)])
def test_the_figures_equal_their_definitions(n, m, d):
    training = normal(301, d) + 5
    drawn = torch.cat([training[: n // 4], 0.7 * (normal(n - n // 4, d, 1) + 7)])
    drawn = drawn[torch.randperm(n, generator=torch.Generator().manual_seed(3))]
    held_out = normal(m, d, 2) + 5
    expected = by_definition(drawn, held_out, training)
    assert 0 < expected["code_recall"] < 1
    assert expected["code_repeats"] == (n // 4) / n
    assert score_codes(drawn, held_out, training) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("d", [1, 2, 30])
def test_a_translated_cloud_is_as_far_as_it_was_moved(d):
    x, training, shift = normal(100, d), normal(200, d, 1), 3 * normal(1, d, 2)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    w2 = score_codes(x[order].double() + shift.double(), x, training)["code_w2"]
    assert w2 == pytest.approx(shift.double().norm().item() / rms(training), rel=1e-9)


def test_a_scaled_cloud_is_as_far_as_its_points_moved():
    x = normal(150, 4).double()  # x -> 3 x is the gradient of a convex function, hence optimal
    expected = 2 * x.square().sum(dim=1).mean().sqrt().item() / rms(x)
    assert score_codes(3 * x, x, x)["code_w2"] == pytest.approx(expected, rel=1e-9)


def test_held_out_codes_drawn_again_are_perfect_and_repeat_nothing():
    held_out = normal(200, 6)
    scores = score_codes(held_out, held_out, normal(1000, 6, 1))
    assert scores == {"code_w2": 0.0, "code_recall": 1.0, "code_precision": 1.0, "code_repeats": 0.0}


def test_training_codes_drawn_again_are_repeats_and_fresh_gaussian_draws_are_not():
    training, held_out = normal(2000, 8) + 3, normal(300, 8, 1) + 3
    rows = torch.randint(2000, (300,), generator=torch.Generator().manual_seed(0))
    gaussian = Gaussian(GaussianConfig(), Spec((8,), 2000, 0))
    gaussian.fit(training)
    fresh = gaussian.sample(300, torch.Generator().manual_seed(0))
    again, new = (score_codes(x, held_out, training) for x in (training[rows], fresh))
    assert (again["code_repeats"], new["code_repeats"]) == (1.0, 0.0)
    assert again["code_w2"] == pytest.approx(new["code_w2"], rel=0.1)  # only the repeats tell them apart


def test_a_far_cloud_reaches_nothing():
    scores = score_codes(normal(100, 4) + 100, normal(100, 4, 1), normal(300, 4, 2))
    assert scores["code_recall"] == scores["code_precision"] == scores["code_repeats"] == 0.0
    assert scores["code_w2"] > 50


def test_a_dropped_mode_costs_recall_and_an_invented_one_precision():
    one, two = normal(300, 3, 0), torch.cat([normal(150, 3, 1), normal(150, 3, 2) + 50])
    dropped, invented = score_codes(one, two, two), score_codes(two, one, one)
    assert dropped["code_recall"] <= 0.5 < 0.9 < dropped["code_precision"]
    assert invented["code_precision"] <= 0.5 < 0.9 < invented["code_recall"]


@pytest.mark.parametrize(("scale", "shift"), [(1e-4, 0.0), (1e5, 0.0), (2.0, 1e3)])
def test_neither_scale_nor_position_matters(scale, shift):
    codes = [normal(90, 5, 0).double(), normal(80, 5, 1).double(), normal(400, 5, 2).double()]
    codes[0][:30] = codes[2][:30]
    moved = [scale * x + shift for x in codes]
    assert score_codes(*moved) == pytest.approx(score_codes(*codes), rel=1e-6)
    assert score_codes(*moved)["code_repeats"] == pytest.approx(1 / 3)


def test_a_repeat_is_nearer_than_a_thousandth_of_the_neighbours_distance():
    training = torch.stack(torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij"), dim=-1).flatten(0, 1)
    for offset, share in ((9e-4, 1.0), (1.1e-3, 0.0)):  # neighbours of the lattice are 1 apart
        drawn = training[:100].double() + torch.tensor([offset, 0.0])
        assert score_codes(drawn, training[100:200], training.double())["code_repeats"] == share


def test_duplicates_among_training_codes_do_not_shrink_the_measure():
    training, held_out = normal(100, 3), normal(50, 3, 1)
    drawn = torch.cat([training[:20] + 1e-5, normal(30, 3, 2)])
    once = score_codes(drawn, held_out, training)
    assert once["code_repeats"] == 0.4
    assert score_codes(drawn, held_out, training.repeat(3, 1)) == pytest.approx(once)


def test_training_codes_all_alike_are_compared_in_code_units():
    training, held_out = torch.full((40, 3), 0.1), normal(20, 3)
    drawn = torch.full((20, 3), 0.1)
    drawn[:5] += 0.01
    scores = score_codes(drawn, held_out, training)
    assert scores["code_repeats"] == 0.75
    assert scores["code_w2"] == pytest.approx(math.sqrt(ot.emd2([], [], distances(drawn, held_out).square().numpy())))
    assert score_codes(drawn, held_out, training[:1])["code_repeats"] == 0.75


def test_a_sample_of_the_training_codes_gives_their_usual_distance(monkeypatch):
    training = torch.rand(3000, 2, generator=torch.Generator().manual_seed(0))
    whole = _threshold(training)
    monkeypatch.setattr(latent, "PROBES", 300)
    assert _threshold(training) == pytest.approx(whole, rel=0.15)
    distance, usual = torch.cdist(training.double(), training.double()).fill_diagonal_(9), 1e-3
    assert whole == pytest.approx(usual * distance.min(dim=1).values.median().item(), rel=0.05)


def _threshold(training):
    """Return the distance up to which a code counts as a repeat, found by bisection."""
    low, high = 0.0, 1e-2
    for _ in range(12):
        middle = (low + high) / 2
        alone = torch.tensor([[-middle, 0.0]]).double() + training[training[:, 0].argmin()].double()
        repeats = score_codes(alone.expand(6, 2), training[:6], training)["code_repeats"]
        low, high = (middle, high) if repeats else (low, middle)
    return (low + high) / 2


def test_more_drawn_than_held_out_codes_are_compared_with_the_first():
    drawn, held_out, training = normal(90, 3), normal(40, 3, 1), normal(100, 3, 2)
    w2 = score_codes(drawn, held_out, training)["code_w2"]
    assert w2 == pytest.approx(score_codes(drawn[:40], held_out, training)["code_w2"])
    assert w2 == pytest.approx(score_codes(held_out, drawn, training)["code_w2"])
