import math

import numpy as np
import pytest
import torch
from driving import normal, run
from scipy.spatial import cKDTree
from torch import nn

from latent_ot.bench.train import build
from latent_ot.samplers import imle
from latent_ot.samplers.imle import Imle, ImleConfig, nearest
from latent_ot.seeding import generator
from latent_ot.stage import Spec


def make(z, epochs=1, **config):
    config = ImleConfig(**{"batch_size": 32, "hidden": 32, **config})
    steps = epochs * -(-len(z) // config.batch_size)
    return build(Imle, config, Spec(z.shape[1:], len(z), steps * config.batch_size))


def trained(sampler, z, folder):
    run(sampler, z, folder)
    return sampler


@pytest.mark.parametrize(("n", "m", "d"), [(300, 1000, 2), (50, 20, 1), (100, 3000, 64), (7, 1, 5)])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_nearest_rows_are_those_of_a_search_tree(n, m, d, offset, monkeypatch):
    monkeypatch.setattr(imle, "CHUNK", 10_000)  # many chunks, the last one short
    z, pool = normal(n, d, 1) + offset, normal(m, d, 2) + offset
    _, expected = cKDTree(pool.double().numpy()).query(z.double().numpy())
    np.testing.assert_array_equal(nearest(z, pool).numpy(), expected)


def test_a_row_is_its_own_nearest_and_duplicates_choose_alike():
    pool = normal(500, 8)
    assert torch.equal(nearest(pool, pool), torch.arange(500))
    assert torch.equal(nearest(pool[:9].repeat(3, 1), pool), torch.arange(9).repeat(3))


def test_matching_gives_every_code_the_noise_that_lands_nearest():
    z = normal(100, 3)
    sampler = make(z, pool=3)
    sampler.fit(z)
    sampler.match(epoch=4)
    shape = (3 * 4 * 32, 32)  # 100 codes are 4 batches of 32
    pool = torch.randn(shape, generator=generator(0, "pool", 4))
    with torch.no_grad():
        mapped = torch.cat([sampler.T(e) for e in pool.split(32)])  # in training mode
    distance, chosen = cKDTree(mapped.numpy()).query(sampler.codes.numpy())
    assert torch.equal(sampler.matched, pool[chosen])
    facts = sampler.facts()
    assert facts["imle_objective"] == pytest.approx((distance**2).mean(), rel=1e-5)
    assert facts["distinct_share"] == pytest.approx(len(set(chosen)) / 100)


def test_the_objective_over_a_fixed_pool_falls_far_below_that_of_the_mean(tmp_path):
    """Codes on a circle: at the start as bad as their mean, which is at distance 1 from each; at the end near 0."""
    angle = torch.linspace(0, 2 * math.pi, 257)[:-1]
    z = torch.stack([angle.cos(), angle.sin()], dim=1)
    pool = normal(512, 32, 1)

    def objective(sampler):
        with torch.no_grad():
            mapped = sampler.eval().transport(pool)
        return float((mapped[nearest(z, mapped)] - z).square().sum(1).mean())

    start, end = make(z), make(z, 40)
    assert objective(start) > 0.2
    trained(end, z, tmp_path)
    assert objective(end) < 0.01
    assert end.facts()["imle_objective"] < 0.01
    drawn = end.sample(500, generator(0, "draw"))
    assert drawn.mean(0).norm() < 0.4
    assert nearest(drawn, z).unique().numel() > 128


def test_epochs_match_anew_forget_momentum_and_halve_the_step(tmp_path):
    z, seen = normal(80, 3), []
    sampler = make(z, 4, halve_every=2)

    def look():
        adam = sampler.trainer.optimizers[0]
        steps = {int(state["step"]) for state in adam.state.values()}
        seen.append((sampler.matched.clone(), steps, adam.param_groups[0]["lr"]))

    assert run(sampler, z, tmp_path, look)["updates"] == {"mapping": 12}
    assert sampler.epoch_steps == 3
    for step, (matched, steps, lr) in enumerate(seen[: sampler.total_steps]):
        epoch, place = divmod(step, 3)
        assert steps == {place + 1}
        assert lr == 1e-3 * 0.5 ** (epoch // 2)
        assert torch.equal(matched, seen[3 * epoch][0])
    assert not torch.equal(seen[0][0], seen[3][0])


def test_sampling_normalises_by_statistics_of_noise_whatever_the_batch(tmp_path):
    z = normal(80, 3)
    sampler = trained(make(z, 3), z, tmp_path)
    e = normal(20_000, 32, 1)
    with torch.no_grad():
        first = sampler.T[0](e)
    mean, variance = sampler.T[1].running_mean, sampler.T[1].running_var
    assert (mean - first.mean(0)).abs().mean() < 0.015
    assert (variance / first.var(0) - 1).abs().mean() < 0.03
    whole = sampler.transport(e[:40])
    torch.testing.assert_close(torch.cat([sampler.transport(e[:1]), sampler.transport(e[1:40])]), whole)
    drawn = sampler.sample(40, generator(0, "draw"))
    assert drawn.shape == (40, 3)
    assert drawn.dtype == torch.float32
    assert torch.equal(sampler.transport(sampler.source(40, generator(0, "draw"))), drawn)


def test_codes_are_met_at_mean_length_one():
    z = normal(100, 3)
    sampler = make(z)
    sampler.fit(z)
    assert sampler.codes.square().sum(1).mean() == pytest.approx(1.0, rel=1e-5)
    torch.testing.assert_close(sampler.codes.mean(0), torch.zeros(3), atol=1e-6, rtol=0)


def test_duplicates_and_a_constant_dimension_change_nothing(tmp_path):
    z = torch.cat([normal(20, 2).repeat(3, 1), torch.full((60, 1), 5.0)], dim=1)
    sampler = trained(make(z, 60), z, tmp_path)
    assert torch.equal(sampler.matched[:20], sampler.matched[40:])
    drawn = sampler.sample(200, generator(0, "draw"))
    assert (drawn[:, 2] - 5).abs().mean() < 0.3
    assert drawn.isfinite().all()


@pytest.mark.parametrize("n", [2, 5, 31, 33])
def test_few_codes_can_be_trained_on(n, tmp_path):
    z = normal(n, 40)
    sampler = trained(make(z, 20), z, tmp_path)
    assert sampler.matched.shape == (n, 32)
    drawn = sampler.sample(100, generator(0, "draw"))
    assert drawn.shape == (100, 40)
    assert drawn.isfinite().all()
    assert (drawn.mean(0) - z.mean(0)).norm() < z.norm(dim=1).mean()


def test_the_network_is_that_of_the_paper():
    layers = list(Imle(ImleConfig(), Spec((64,), 10, 128)).T)
    assert [type(layer) for layer in layers] == [nn.Linear, nn.BatchNorm1d, nn.ReLU] * 2 + [nn.Linear]
    assert [tuple(layers[i].weight.shape) for i in (0, 3, 6)] == [(128, 32), (128, 128), (64, 128)]
    assert all(layers[i].bias is None for i in (0, 3, 6))
    narrow = Imle(ImleConfig(), Spec((64,), 10, 128, width=0.25)).T
    assert tuple(narrow[3].weight.shape) == (32, 32)
