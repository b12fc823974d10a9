"""What memorising looks like: on sets made by hand, of exact copies and blends, against independent computations."""

import numpy as np
import pytest
import torch
from driving import normal, seeded
from scipy.optimize import check_grad
from scipy.special import logsumexp
from scipy.stats import mannwhitneyu, norm
from sklearn.neighbors import NearestNeighbors

from latent_ot.errors import Damaged, InputError, TooFew
from latent_ot.metrics import training as module
from latent_ot.metrics.authenticity import Authenticity, near_training
from latent_ot.metrics.copy_test import CopyTest, copy_test, z_score
from latent_ot.metrics.estimate import Z
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.fid import fid
from latent_ot.metrics.fid_held_out import FidHeldOut
from latent_ot.metrics.likelihood_gap import FLOOR, LikelihoodGap, explained, fit, likelihood_gap
from latent_ot.metrics.score import score
from latent_ot.metrics.training import Reach, Training, nearest


def line(*values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def images(x):
    return FeatureSet(x, x[:, :0])


@pytest.fixture(scope="module")
def space():
    """600 training points and 300 held-out ones of one law in eight dimensions."""
    return Training.of(normal(600, 8), normal(300, 8, 1))


@pytest.mark.parametrize("exact_width", [512, 1])
def test_neighbours_are_those_of_scikit_learn_and_ties_go_to_the_first(exact_width, monkeypatch):
    monkeypatch.setattr(module, "EXACT_WIDTH", exact_width)
    monkeypatch.setattr(module, "TILE", 37)
    monkeypatch.setattr(module, "AT_ONCE", 50)
    x, points = normal(90, 6), 30 + normal(200, 6, 1)
    theirs, rows = NearestNeighbors(n_neighbors=3).fit(points).kneighbors(x)
    squared, which = nearest(x, points, 3)
    assert np.allclose(squared.sqrt(), theirs, rtol=1e-6)
    assert (which.numpy() == rows).mean() > 0.99
    assert nearest(line(1.0), line(2.0, 0.0, 5.0, 2.0), 3)[1].tolist() == [[0, 1, 3]]
    assert nearest(line(1.0), line(2.0), 4)[0].tolist() == [[1.0]]


def test_the_nearest_other_image_is_one_that_differs_however_often_an_image_occurs():
    found = Training.of(line(0, 0, 0, 0, 0, 0, 1, 3, 3, 7), line(5.0))
    assert found.other.tolist() == [1, 1, 1, 1, 1, 1, 1, 2, 2, 4]
    with pytest.raises(TooFew, match="3 training images are all alike; allowed: two or more that differ"):
        Training.of(line(2, 2, 2), line(5.0))
    with pytest.raises(InputError, match="1 of 2 samples are not finite"):
        Training.of(line(2, float("nan")), line(5.0))


def test_a_sample_is_a_copy_if_it_is_no_farther_than_its_images_nearest_other():
    training = Training.of(line(0, 1, 3, 7), line(5.0))  # neighbours at 1, 1, 2, 4
    cases = {0.0: True, 0.5: True, -1.0: True, -1.1: False, 4.9: True, 5.1: True, 11.0: True, 11.1: False}
    copied = training.copied(images(line(*cases))) <= 1
    assert dict(zip(cases, copied.tolist(), strict=True)) == cases
    assert Authenticity.compute(training, images(line(*cases)))["copied"] == 0.75


def test_a_near_copy_of_an_image_that_occurs_twice_is_one(space):
    doubled = Training.of(torch.cat([space.features, space.features]), space.held_out.features)
    near = images(space.features[:100] + 1e-3)
    assert Authenticity.compute(doubled, near)["copied"] == 1
    assert torch.allclose(doubled.other[:600], space.other)


def test_copies_blends_held_out_and_far_samples_are_told_apart(space):
    other = nearest(space.features, space.features, 2)[1][:, 1]
    blend = 0.8 * space.features + 0.2 * space.features[other]
    kinds = {
        "copies": space.features[:300], "blends": blend[:300], "same law": normal(300, 8, 7),
        "far": 3 * normal(300, 8, 8),
    }  # fmt: skip
    found = {name: score("copies", space, images(x))[0] for name, x in kinds.items()}
    assert found["copies"]["copied"] == found["blends"]["copied"] == 1  # a fifth of the way to the next
    for key, rising in (("copied", False), ("near_training", False), ("copy_test", True), ("fld_gap", True)):
        values = [found[name][key] for name in kinds]
        assert values == sorted(values, reverse=not rising), key
    assert found["copies"]["near_training"] == 1
    assert abs(found["same law"]["near_training"] - 0.05) < 0.04
    assert found["copies"]["copy_test"] < -3
    assert abs(found["same law"]["copy_test"]) < 3
    assert found["far"]["copy_test"] > 3
    assert -10 < found["same law"]["fld_gap"] < 0  # the variances were fitted to the training points
    assert found["blends"]["fld_gap"] < 3 * found["same law"]["fld_gap"]
    assert found["copies"]["fid_test"] == fid(space.held_out.features, space.features[:300])


def test_held_out_images_themselves_are_compared_with_no_others(space):
    same, reasons = images(space.held_out.features.clone()), {}
    found, _ = score("copies", space, same, reasons=reasons)
    assert found["near_training"] == pytest.approx(0.05)
    assert found.keys() == {"copied", "near_training"}
    assert reasons.keys() == {"copy_test", "fid_test", "fld_gap"}
    for metric in (CopyTest, LikelihoodGap, FidHeldOut):
        with pytest.raises(TooFew, match="needs other held-out images than those that are scored"):
            metric.compute(space, same)


def test_the_share_that_is_near_has_the_closed_form_of_a_normal_law():
    held_out, distance = (normal(100_000, 1, seed).flatten().double() for seed in (0, 1))
    found = near_training(distance - 1, held_out)
    assert found == pytest.approx(norm.cdf(norm.ppf(0.05) + 1), abs=0.005)
    small = [
        near_training(normal(300, 1, 2 * s).flatten() - 1, normal(300, 1, 2 * s + 1).flatten()) for s in range(200)
    ]
    assert np.mean([share.half for share in small]) / Z == pytest.approx(np.std(small), rel=0.25)
    with pytest.raises(TooFew, match="19 held-out images; allowed: 20 or more"):
        near_training(distance, held_out[:19])


@pytest.mark.parametrize("decimals", [6, 0])
def test_a_cells_score_is_scipys_mann_whitney_statistic(decimals):
    fake, held_out = (
        normal(70, 1).flatten().round(decimals=decimals),
        normal(50, 1, 1).flatten().round(decimals=decimals),
    )
    fake = fake - 1
    theirs = mannwhitneyu(
        fake.double(), held_out.double(), method="asymptotic", use_continuity=False, alternative="less"
    )
    assert norm.cdf(z_score(fake, held_out)) == pytest.approx(theirs.pvalue, rel=1e-9)
    assert z_score(held_out, held_out) == pytest.approx(0, abs=1e-12)
    assert z_score(torch.zeros(5), torch.zeros(9)) == 0


def test_scores_of_cells_are_weighted_by_held_out_images_and_need_twenty_samples():
    def reach(cells, seed):
        cells = torch.tensor(cells)
        return Reach(cells, cells, cells, normal(len(cells), 1, seed).abs().flatten())

    held_out, fake = reach([0] * 30 + [1] * 10 + [2] * 60, 0), reach([0] * 25 + [1] * 40 + [2] * 19, 1)
    both = [z_score(fake.within[fake.cell == k], held_out.within[held_out.cell == k]) for k in (0, 1)]
    assert copy_test(fake, held_out) == pytest.approx(0.75 * both[0] + 0.25 * both[1])
    assert copy_test(fake, held_out).half == pytest.approx(
        ((0.75 * both[0].half) ** 2 + (both[1].half / 4) ** 2) ** 0.5
    )
    with pytest.raises(TooFew, match="no cell has 20 of 19 samples"):
        copy_test(reach([2] * 19, 1), held_out)


def test_the_nearest_image_of_a_cell_is_sought_in_it(space):
    x = normal(80, 8, 5)
    reach = space.reach(x)
    assert len(space.centres) > 1
    for k in range(len(space.centres)):
        own, theirs = x[reach.cell == k].numpy(), space.features[space.cells == k].numpy()
        if len(own):
            distance = NearestNeighbors(n_neighbors=1).fit(theirs).kneighbors(own)[0].flatten()
            assert np.allclose(reach.within[reach.cell == k], distance, rtol=1e-5)


def log_likelihood(log_variance, squared, d):
    """Mean log density of images under equal components, by SciPy, but for a constant."""
    terms = -0.5 * (squared / np.exp(log_variance) + d * log_variance)
    return float(np.mean(logsumexp(terms, axis=1)))


def test_variances_are_stationary_points_of_the_likelihood():
    x, z = normal(200, 3), 1.5 * normal(5, 3, 1)
    found = fit(explained(x, z), torch.zeros(6, dtype=torch.float64), 3)
    squared = np.concatenate([torch.cdist(x, z).square().numpy(), x.square().sum(1, keepdim=True).numpy()], axis=1)
    flat = check_grad(lambda v: log_likelihood(v, squared, 3), lambda v: np.zeros(6), found.numpy())
    start = check_grad(lambda v: log_likelihood(v, squared, 3), lambda v: np.zeros(6), np.zeros(6))
    assert flat < 0.02 * start
    assert log_likelihood(found.numpy(), squared, 3) > log_likelihood(np.zeros(6), squared, 3)


def test_one_gaussian_alone_has_the_mean_squared_distance_as_its_variance():
    x = normal(500, 4)
    squared = explained(x, torch.full((1, 4), 100.0))  # so far away that the one at the mean explains all
    found = fit(squared, torch.zeros(2, dtype=torch.float64), 4)
    assert float(found[1].exp()) == pytest.approx(float(x.double().square().sum(1).mean()) / 4, rel=1e-6)


def test_more_neighbours_than_are_looked_at_change_the_gap_little(monkeypatch):
    sets = normal(300, 16), normal(150, 16, 1), normal(250, 16, 2)
    few = likelihood_gap(*sets)
    monkeypatch.setattr("latent_ot.metrics.likelihood_gap.NEAREST", 250)
    assert few == pytest.approx(likelihood_gap(*sets), abs=0.1)


def test_the_gap_scatters_as_its_interval_says():
    x = normal(400, 8)
    found = [likelihood_gap(x, normal(200, 8, 2 * s + 1), 1.1 * normal(200, 8, 2 * s + 2)) for s in range(25)]
    assert 0.6 < np.mean([gap.half for gap in found]) / Z / np.std(found) < 1.5


def test_the_gap_of_exact_copies_is_finite_and_features_that_never_vary_do_not_count():
    x, y = normal(200, 4), normal(100, 4, 1)
    gap = likelihood_gap(x, y, x[:100])
    assert gap < -10
    assert gap > 100 * 0.5 * np.log(FLOOR / 4)  # no more than a variance at its floor gives
    dead = [torch.cat([part, torch.full((len(part), 2), 0.7)], 1) for part in (x, y, x[:100])]
    assert likelihood_gap(*dead) == pytest.approx(gap, rel=1e-6)


def test_it_is_kept_in_a_file_and_a_damaged_one_is_refused(space, tmp_path):
    space.save(tmp_path / "training.npz")
    again = Training.load(tmp_path / "training.npz")
    x = images(normal(200, 8, 9))
    assert score("copies", again, x) == score("copies", space, x)
    with pytest.raises(Damaged):
        Training.load(tmp_path / "none.npz")
    np.savez(tmp_path / "cut.npz", **{k: v[:5] for k, v in np.load(tmp_path / "training.npz").items() if k != "cell"})
    with pytest.raises(Damaged):
        Training.load(tmp_path / "cut.npz")


def test_the_least_that_can_be_looked_at():
    training = Training.of(normal(2, 3), normal(1, 3, 1))
    assert torch.equal(training.other, training.other[:1].expand(2))
    reasons = {}
    found, _ = score("copies", training, images(normal(1, 3, 2)), reasons=reasons)
    assert found.keys() == {"copied", "fld_gap"}
    assert {"fid_test", "copy_test"} <= reasons.keys()


def test_a_set_of_other_features_is_refused(space):
    with pytest.raises(InputError, match="8 of a real and 3 of a generated sample"):
        space.reach(torch.rand(5, 3, generator=seeded()))
