import math

import pytest
import torch
from driving import normal, solve

from latent_ot.errors import InputError
from latent_ot.samplers.base import spread
from latent_ot.samplers.sdot import Sdot, SdotConfig
from latent_ot.seeding import generator
from latent_ot.stage import Spec
from latent_ot.transport.cells import Cells
from latent_ot.transport.extension import median_gap
from latent_ot.transport.semidiscrete import Schedule


def make(n, d, **config):
    return Sdot(SdotConfig(**config), Spec(shape=(d,), count=n, images=1))


def trained(z, **config):
    sampler = make(*z.shape, **config)
    sampler.fit(z)
    return solve(sampler)


@pytest.fixture(scope="module")
def plane():
    return trained(normal(200, 2))


@pytest.fixture(scope="module")
def space():
    return trained(normal(300, 10))


def test_training_ends_when_the_tolerance_is_met_on_fresh_points(space):
    facts = space.facts()
    assert space.finished
    assert space.step < space.total_steps
    assert facts["cell_error"] <= 0.1
    assert facts["cell_error_reached"] is True
    assert facts["cell_error_points"] >= 1_000_000
    assert facts["empty_cells"] == 0
    assert facts["sdot_points"] == facts["sdot_iterations"] * Schedule(300).batch
    assert 0.5 < facts["joined_share"] <= 1
    assert 0 < facts["shift"] <= 1
    assert space.images_seen == space.step


def test_the_default_extension_is_exact_in_few_dimensions_and_pairs_above(plane, space):
    assert plane.facts()["extension"] == "barycentric"
    assert space.facts()["extension"] == "pairs"
    for sampler in (plane, space):
        assert float(sampler.eps) == pytest.approx(median_gap(sampler.targets))
        assert sampler.facts()["eps"] == pytest.approx(median_gap(sampler.targets) / spread(sampler.targets))
        assert "threshold" not in sampler.facts()


@pytest.mark.parametrize("case", ["plane", "space"])
def test_draws_are_mixtures_of_codes_with_their_mean(case, request):
    sampler = request.getfixturevalue(case)
    drawn = sampler.sample(20_000, generator(0, "draw"))
    assert drawn.shape == (20_000, sampler.dim)
    assert drawn.dtype == torch.float32
    assert drawn.abs().max() <= sampler.targets.abs().max()
    assert (drawn.mean(0) - sampler.targets.mean(0)).abs().max() < 0.15


@pytest.mark.parametrize("none", [{"eps": 0.0}, {"join": "angle", "threshold": 0.0}], ids=["eps", "threshold"])
def test_what_joins_nothing_draws_the_training_codes_in_equal_shares(none):
    z = normal(100, 6)
    sampler = trained(z, **none)
    drawn = sampler.sample(20_000, generator(0, "draw"))
    row = torch.cdist(drawn, z).argmin(1)
    assert torch.equal(drawn, z[row])
    assert (torch.bincount(row, minlength=100) / 200 - 1).abs().max() < 0.5
    assert sampler.facts()["joined_share"] == 0.0


def test_inverse_distance_weights_can_be_chosen_in_any_dimension():
    sampler = trained(normal(100, 6), mode="idw")
    assert torch.equal(Cells(sampler.targets).assign(sampler.centres, sampler.heights), torch.arange(100))
    assert 0 < sampler.facts()["joined_share"] < 1


MODES = 6 * normal(10, 64, 3) / 8  # ten modes of unit spread, some 8 apart


@pytest.fixture(scope="module")
def clusters():
    """Return ten modes in 64 dimensions, solved once."""
    return trained(MODES.repeat(12, 1) + normal(120, 64) / 8, tol=0.3)


@pytest.mark.parametrize("mode", ["pairs", "idw"])
@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_by_distance_no_modes_are_mixed_at_any_scale_and_draws_stay_within_eps_of_the_codes(mode, scale, clusters):
    sampler = make(120, 64, tol=0.3, mode=mode)
    sampler.fit(scale * clusters.targets)
    sampler.heights.copy_(scale * clusters.heights)
    sampler.centres.copy_(
        Cells(clusters.targets).census(clusters.heights, 20_000, generator(0, "c"))[1][: len(sampler.centres)]
    )
    sampler.eps.fill_(median_gap(sampler.targets))
    facts, mixture = sampler.facts(), sampler.mixtures(500, generator(0, "draw"))
    mode_of = mixture.index % 10
    assert (mode_of[mixture.weight > 0] == mode_of[:, :1].expand_as(mode_of)[mixture.weight > 0]).all()
    assert 0.3 < facts["joined_share"] < 1
    assert facts["shift"] <= 1


def test_by_the_angle_of_the_release_small_codes_are_mixed_across_all_modes(clusters):
    sampler = make(120, 64, tol=0.3, join="angle")
    sampler.fit(0.01 * clusters.targets)
    sampler.heights.copy_(0.01 * clusters.heights)
    mixture = sampler.mixtures(2000, generator(0, "draw"))
    mode_of = mixture.index % 10
    assert not mixture.single.any()
    assert (mode_of[:, 0] != mode_of[:, 1]).double().mean() > 0.2


def test_a_tight_tolerance_in_the_plane_is_met_in_double_precision():
    sampler = trained(normal(60, 2), tol=0.05)
    assert sampler.targets.dtype == torch.float64
    assert sampler.facts()["cell_error"] <= 0.05


def test_too_many_codes_are_a_random_subset():
    z = normal(500, 3)
    sampler = trained(z, max_targets=50)
    assert sampler.facts()["targets"] == 50
    assert (sampler.targets[:, None] == z).all(2).any(1).all()
    assert len(sampler.targets.unique(dim=0)) == 50
    assert make(60_000, 2).targets.shape == (2000, 2)
    assert make(60_000, 64).targets.shape == (60_000, 64)


def test_what_runs_out_of_points_still_draws_and_says_so():
    sampler = trained(normal(200, 5), tol=0.02, max_points=20_000)
    assert not sampler.finished
    assert sampler.step == sampler.total_steps
    facts = sampler.facts()
    assert facts["cell_error"] > 0.02
    assert facts["cell_error_reached"] is False
    assert sampler.sample(3, generator(0, "draw")).shape == (3, 5)


def test_observed_values_are_finite_from_the_first_step():
    sampler = make(100, 4)
    sampler.fit(normal(100, 4))
    solve(sampler, steps=1)
    assert sampler.observed
    assert all(math.isfinite(float(value)) for value in sampler.observed.values())


def test_nothing_is_drawn_before_training():
    sampler = make(20, 2)
    sampler.fit(normal(20, 2))
    with pytest.raises(InputError, match="before it is fitted"):
        sampler.sample(1, generator(0, "draw"))


def test_the_held_out_error_is_seen_long_before_the_first_check():
    z = normal(300, 10)
    sampler = make(300, 10)
    sampler.fit(z)
    assert "error" not in solve(sampler, 15).observed
    early = float(solve(sampler, 1).observed["error"])
    later = float(solve(sampler, 48).observed["error"])
    assert not torch.isfinite(sampler.state.best_error)  # no check yet
    cells = Cells(sampler.problem.cells.slopes[:300])
    volume = cells.volumes(sampler.state.average, 400_000, generator(1, "judge"))
    truth = float(((300 * volume - 1).square().mean() - 300 / 400_000).sqrt())
    standard_error = (2 / 300) ** 0.5 * (truth**2 + 300 / 2**14)
    assert later**2 == pytest.approx(truth**2, abs=3 * standard_error)
    assert later < early


def test_what_has_no_map_is_refused():
    with pytest.raises(InputError, match="'mode' = 'barycentric' in 10 dimensions"):
        make(20, 10, mode="barycentric")
    with pytest.raises(InputError, match="'join' = 'angle' with mode 'barycentric'; allowed: distance"):
        make(20, 2, join="angle")
    with pytest.raises(InputError, match="all equal"):
        make(20, 2).fit(torch.ones(20, 2))
