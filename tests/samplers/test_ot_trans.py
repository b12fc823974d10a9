import pytest
import torch
from driving import normal, step_codes
from scipy.optimize import linear_sum_assignment

from latent_ot.errors import InputError
from latent_ot.samplers.ot_trans import OtTrans, OtTransConfig
from latent_ot.seeding import derive, generator
from latent_ot.stage import Spec


def codes(n, d, seed=0, scale=1.0, shift=0.0):
    return scale * normal(n, d, seed) + shift


def make(n, d, width=0.125, steps=1, seed=0, **config):
    config = OtTransConfig(**config)
    torch.manual_seed(derive(seed, "init"))
    return OtTrans(config, Spec((d,), n, images=steps * config.batch_size, width=width, seed=seed))


def trained(z, steps, **config):
    sampler = make(*z.shape, steps=steps, **config)
    sampler.fit(z)
    return step_codes(sampler, z)


def same_points(x, y):
    """Whether two clouds are one up to their order, to single precision."""
    return len(x) == len(y) and torch.allclose(*(v[v[:, 0].argsort()] for v in (x, y)), atol=1e-5)


def test_the_pairs_are_a_bijection_of_least_cost():
    z = codes(300, 6, scale=4.0, shift=2.0)
    sampler = make(300, 6)
    sampler.fit(z)
    assert same_points(sampler.map.frame.back(sampler.targets), z)
    assert sampler.starts.abs().max() <= 1
    n, y = sampler.starts.double(), z.double()
    squared = (n[:, None] - sampler.map.frame(y)).square().sum(dim=2).numpy()
    best = float(squared[linear_sum_assignment(squared)].mean())
    assert float((n - sampler.targets).square().sum(1).mean()) == pytest.approx(best, rel=1e-6)  # float32 targets
    unit = sampler.map.frame(y).var(dim=0, correction=0).sum().item()
    assert sampler.facts()["assignment_cost"] == pytest.approx(best / unit, rel=1e-5)


def test_the_pairs_are_optimal_for_codes_as_they_are():
    """The frame is one shift and one scale, so that noise and raw codes have the same best bijection."""
    z = codes(200, 5, scale=0.02, shift=3.0)
    sampler = make(200, 5)
    sampler.fit(z)
    squared = (sampler.starts[:, None].double() - z.double()).square().sum(dim=2).numpy()
    _, columns = linear_sum_assignment(squared)
    torch.testing.assert_close(sampler.map.frame.back(sampler.targets), z[columns], atol=1e-6, rtol=0)


def test_permuted_codes_are_paired_alike():
    z, p = codes(250, 4), torch.randperm(250, generator=torch.Generator().manual_seed(1))
    first, second = make(250, 4), make(250, 4)
    first.fit(z)
    second.fit(z[p])
    torch.testing.assert_close(first.starts, second.starts, atol=0, rtol=0)
    torch.testing.assert_close(first.targets, second.targets, atol=1e-6, rtol=0)


def test_more_codes_than_pairs_are_a_random_subset():
    z = codes(500, 3)
    sampler = make(500, 3, pairs=40)
    sampler.fit(z)
    row = torch.cdist(sampler.map.frame.back(sampler.targets), z).argmin(dim=1)
    assert sampler.facts()["pairs"] == 40
    assert same_points(sampler.map.frame.back(sampler.targets), z[row])
    assert len(row.unique()) == 40
    assert make(60_000, 64).targets.shape == (4096, 64)


@pytest.mark.parametrize(("d", "steps"), [pytest.param(2, 900, marks=pytest.mark.slow), (8, 300)])
def test_the_network_memorises_64_pairs(d, steps):
    z = codes(64, d, scale=3.0, shift=1.0)
    sampler = trained(z, steps, width=0.25, lr=3e-3)
    error = sampler.facts()["regression_error"]
    drawn = sampler.transport(sampler.starts).detach()
    assert error < 0.005
    assert error < 0.02 * sampler.facts()["assignment_cost"]
    rms = (drawn - sampler.map.frame.back(sampler.targets)).square().sum(dim=1).mean()
    assert error == pytest.approx(float(rms / z.var(dim=0, correction=0).sum()), rel=1e-3)


@pytest.mark.parametrize(("reg_loss", "expected"), [("l2sq", 4 * 3.0), ("l1", 2 * 3.0)])
def test_the_loss_is_summed_over_coordinates(reg_loss, expected):
    """Zero weights and targets at distance 2 in each of three coordinates."""
    sampler = make(10, 3, reg_loss=reg_loss)
    sampler.fit(codes(10, 3))
    with torch.no_grad():
        sampler.targets.fill_(2.0)
        for parameter in sampler.map.parameters():
            parameter.zero_()
    step_codes(sampler, codes(10, 3))
    assert sampler.observed["loss"].item() == pytest.approx(expected)


def test_assigning_every_step_uses_the_batch_of_that_step():
    z = codes(400, 3)
    sampler = make(400, 3, steps=5, resample_ot="per_step", batch_size=16)
    sampler.fit(z)
    step_codes(sampler, z, steps=1)
    seen = []
    for _ in range(2):
        rows = torch.randint(400, (16,), generator=generator(0, "rows", sampler.step))
        step_codes(sampler, z, steps=1)
        assert same_points(sampler.map.frame.back(sampler.targets), z[rows])
        squared = (sampler.starts[:, None] - sampler.targets).square().sum(dim=2)
        best = float(squared.numpy()[linear_sum_assignment(squared.numpy())].sum())
        assert float(squared.trace()) == pytest.approx(best, rel=1e-5)
        seen.append(sampler.starts.clone())
    assert not torch.equal(*seen)
    assert sampler.facts()["pairs"] == 16


def test_what_is_learnt_shifts_and_scales_with_the_codes():
    z = codes(100, 4)
    plain, moved = trained(z, 30), trained(8 * z, 30)
    w = plain.source(50, generator(0, "w"))
    assert torch.equal(8 * plain.transport(w), moved.transport(w))
    shifted = trained(8 * z - 16, 1)
    assert torch.allclose(shifted.map.frame(8 * z - 16), plain.map.frame(z), atol=1e-5)


def test_codes_within_0_and_1_stay_as_they_are_and_draws_too():
    z = torch.rand(200, 3, generator=generator(0, "z"))
    sampler = trained(z, 20)
    assert torch.equal(sampler.map.frame(z), z)
    drawn = sampler.sample(500, generator(0, "draw"))
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert torch.equal(drawn, sampler.map.network(sampler.source(500, generator(0, "draw"))).sigmoid())
    assert bool(make(*z.shape, squash=False).map.squash) is False
    free = trained(z, 1, squash=False)
    assert not free.map.squash
    assert free.map.frame.mean.tolist() == pytest.approx(z.mean(0).tolist())
    assert not trained(z * 1.01 - 0.005, 1).map.squash


@pytest.mark.parametrize(("d", "width", "linear", "hidden"), [(2, 1.0, 5, 512), (8, 1.0, 7, 512), (64, 0.5, 7, 256)])
def test_networks_have_the_published_layers(d, width, linear, hidden):
    layers = [layer for layer in make(100, d, width=width).map.network if isinstance(layer, torch.nn.Linear)]
    assert [layer.out_features for layer in layers] == [hidden] * (linear - 1) + [d]
    assert layers[0].in_features == d
    slopes = {layer.negative_slope for layer in make(100, d).map.network if isinstance(layer, torch.nn.LeakyReLU)}
    assert slopes == {0.01}


@pytest.mark.parametrize(("d", "lr", "betas"), [(2, 3e-4, (0.9, 0.999)), (8, 1e-3, (0.5, 0.999))])
def test_optimizers_are_the_published_ones(d, lr, betas):
    (group,) = make(100, d).configure_optimizers().param_groups
    assert (group["lr"], group["betas"]) == (lr, betas)
    assert make(100, d, lr=0.01).configure_optimizers().param_groups[0]["lr"] == 0.01


def test_the_source_is_uniform_on_the_cube():
    w = make(10, 3).source(100_000, generator(0, "w"))
    assert w.min() >= -1
    assert w.max() <= 1
    torch.testing.assert_close(w.mean(0), torch.zeros(3), atol=0.02, rtol=0)
    torch.testing.assert_close(w.T.cov(), torch.eye(3) / 3, atol=0.01, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("z", [codes(1, 3), torch.full((9, 3), 5.0), codes(5, 40), codes(3, 4).repeat(7, 1)])
def test_degenerate_codes_are_learnt_too(z):
    sampler = trained(z, 150, width=0.25)
    drawn = sampler.sample(20, generator(0, "draw"))
    assert drawn.shape == (20, z.shape[1])
    assert drawn.dtype == torch.float32
    assert drawn.isfinite().all()
    if len(z.unique(dim=0)) == 1:
        assert (drawn - z[0]).abs().max() < 0.3


def test_codes_outside_the_unit_cube_are_not_squashed():
    with pytest.raises(InputError, match=r"'squash' = true with codes from -.* allowed: within \[0, 1\]"):
        make(20, 2, squash=True).fit(codes(20, 2))
