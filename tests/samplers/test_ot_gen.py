import math

import ot
import pytest
import torch
from driving import normal, step_codes
from scipy.optimize import linear_sum_assignment

from latent_ot.errors import InputError
from latent_ot.samplers.ot_gen import OtGen, OtGenConfig, diversity
from latent_ot.samplers.ot_trans import regression
from latent_ot.seeding import derive, generator
from latent_ot.stage import Spec
from latent_ot.transport.assignment import assign


def codes(n, d, seed=0, scale=1.0, shift=0.0):
    return scale * normal(n, d, seed) + shift


def doubles(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(n, d, width=0.125, steps=1, seed=0, **config):
    config = OtGenConfig(**config)
    torch.manual_seed(derive(seed, "init"))
    return OtGen(config, Spec((d,), n, images=steps * config.batch_size, width=width, seed=seed))


def trained(z, steps, **config):
    sampler = make(*z.shape, steps=steps, **config)
    sampler.fit(z)
    return step_codes(sampler, z)


class Given(torch.nn.Module):
    """In the place of f_w: predictions that are themselves what is learnt, and no frame."""

    def __init__(self, p):
        super().__init__()
        self.p = torch.nn.Parameter(p)

    def frame(self, codes):
        return codes

    def source(self, n, generator):
        return torch.zeros(n, 0)

    def forward(self, w):
        return self.p


def objective(p, z, **config):
    f = Given(p)
    return f, make(len(z), z.shape[1], **{"reg_loss": "l2sq", **config}).objective(f, z, generator(0, "g"))


def rows(n, m, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(n, (m,), generator=g), torch.randint(n, (m,), generator=g)


def test_the_loss_is_the_squared_wasserstein_distance_of_the_batches():
    p, z = doubles(60, 4), 2 * doubles(60, 4, seed=1) + 1
    _, (loss, w2, predictions, matched) = objective(p, z)
    exact = ot.emd2([], [], ot.dist(p.numpy(), z.numpy()), numItermax=10**7)
    assert loss.item() == pytest.approx(exact, rel=1e-9)
    assert w2.item() == pytest.approx(exact, rel=1e-9)
    assert torch.equal(predictions, p)
    squared = (p[:, None] - z).square().sum(dim=2).numpy()
    assert torch.equal(matched, z[linear_sum_assignment(squared)[1]])


def test_the_loss_is_zero_for_the_same_points_in_any_order_and_only_then():
    z = doubles(50, 3)
    _, (loss, *_) = objective(z[torch.randperm(50)], z)
    assert loss.item() == 0
    _, (loss, *_) = objective(z + torch.eye(50, 3).double(), z)
    assert loss.item() > 0


@pytest.mark.parametrize("d", [1, 4])
def test_by_default_the_same_assignment_is_regressed_in_l1(d):
    p, z = doubles(40, d), 2 * doubles(40, d, seed=1) + 1
    f, (loss, w2, _, matched) = objective(p, z, reg_loss=OtGenConfig().reg_loss)
    squared = (p[:, None] - z).square().sum(dim=2).numpy()
    assert torch.equal(matched, z[linear_sum_assignment(squared)[1]])
    assert loss.item() == pytest.approx((p - matched).abs().sum().item() / 40, rel=1e-12)
    assert w2.item() == pytest.approx((p - matched).square().sum().item() / 40, rel=1e-12)
    loss.backward()
    torch.testing.assert_close(f.p.grad, (p - matched).sign() / 40, atol=1e-15, rtol=0)


def test_feedback_in_l1_draws_to_medians_and_in_l2_to_means():
    """What one prediction is assigned from step to step, 0, 0 and 9 say, it follows to 0 or to 3."""
    seen, held = torch.tensor([[0.0], [0.0], [9.0]]), {}
    for kind in ("l1", "l2sq"):
        p = torch.zeros(1, 1, requires_grad=True)
        for step in range(600):
            (gradient,) = torch.autograd.grad(sum(regression(p, z[None], kind) for z in seen) / 3, p)
            with torch.no_grad():
                p -= 3 / (step + 3) * gradient
        held[kind] = p.item()
    assert held == {"l1": pytest.approx(0.0, abs=0.02), "l2sq": pytest.approx(3.0, abs=0.02)}


def test_the_averaged_weights_are_the_mean_of_the_last_steps_and_draw():
    z = codes(60, 3)
    sampler = make(60, 3, steps=12, average=5)
    sampler.fit(z)
    seen = []
    for step in range(12):
        assert int(sampler.map.average.n_averaged) == max(0, step - 7)
        step_codes(sampler, z, steps=1)
        seen.append({name: value.double().clone() for name, value in sampler.map.network.state_dict().items()})
    means = {name: torch.stack([state[name] for state in seen[-5:]]).mean(dim=0) for name in seen[0]}
    for name, value in sampler.map.average.module.state_dict().items():
        torch.testing.assert_close(value.double(), means[name], atol=1e-6, rtol=0)
    w = sampler.source(50, generator(0, "w"))
    drawn = sampler.transport(w)
    last = sampler.map.frame.back(sampler.map(w))
    sampler.map.network.load_state_dict({name: value.float() for name, value in means.items()})
    torch.testing.assert_close(drawn, sampler.map.frame.back(sampler.map(w)), atol=1e-5, rtol=0)
    assert not torch.allclose(drawn, last, atol=1e-4)


def test_more_steps_than_there_are_average_them_all_and_without_any_the_last_weights_draw():
    z = codes(60, 3)
    assert int(trained(z, 4, average=9).map.average.n_averaged) == 4
    plain = trained(z, 4)
    assert plain.map.average is None
    w = plain.source(5, generator(0, "w"))
    assert torch.equal(plain.transport(w), plain.map.frame.back(plain.map(w)))


def test_the_gradient_passes_to_the_predictions_alone():
    """2 (P_i - z_sigma(i)) / k: sigma is a constant of the step."""
    p, z = doubles(40, 5), doubles(40, 5, seed=1).requires_grad_()
    f, (loss, *_, matched) = objective(p, z)
    loss.backward()
    torch.testing.assert_close(f.p.grad, 2 * (p - matched.detach()) / 40, atol=1e-12, rtol=1e-12)
    assert not assign(f.p, z).requires_grad


def test_the_gradient_is_that_of_the_wasserstein_distance_by_finite_differences():
    p, z = doubles(12, 2), doubles(12, 2, seed=1)
    f, (loss, *_) = objective(p, z)
    loss.backward()
    h = 1e-6
    for i, k in ((0, 0), (3, 1), (11, 0)):
        ends = []
        for sign in (1, -1):
            moved = p.clone()
            moved[i, k] += sign * h
            ends.append(ot.emd2([], [], ot.dist(moved.numpy(), z.numpy())))
        assert f.p.grad[i, k].item() == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)


def test_diversity_is_zero_for_the_same_points_and_pairs():
    z = doubles(30, 4)
    assert diversity(z, z, *rows(30, 1000)).item() == 0
    _, (loss, w2, *_) = objective(z[torch.randperm(30)], z, diversity=1.0)
    assert loss.item() == w2.item() == 0


def test_diversity_in_closed_form():
    """Predictions without spread lack the codes' mean distance, those of twice the spread have it too much."""
    z, (i, j) = doubles(50, 3), rows(50, 400)
    spread = (z[i] - z[j]).abs().mean(dim=0).sum().item()
    assert diversity(torch.ones_like(z), z, i, j).item() == pytest.approx(spread, rel=1e-12)
    assert diversity(2 * z, z, i, j).item() == pytest.approx(spread, rel=1e-12)
    half_and_twice = z * torch.tensor([0.5, 1.0, 2.0]).double()  # the coordinates do not make up for one another
    each = (z[i] - z[j]).abs().mean(dim=0)
    assert diversity(half_and_twice, z, i, j).item() == pytest.approx((0.5 * each[0] + each[2]).item(), rel=1e-12)


def test_the_gradient_of_diversity_by_finite_differences():
    p, z, (i, j) = doubles(15, 3).requires_grad_(), 2 * doubles(15, 3, seed=1), rows(15, 200)
    assert torch.autograd.gradcheck(lambda p: diversity(p, z, i, j), (p,), eps=1e-6, atol=1e-8)


def test_lambda_weighs_diversity_over_pairs_of_different_rows():
    """With one pair of points left, whatever pairs are drawn are that one."""
    p, z = torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[0.0], [5.0]]).double()
    _, (loss, w2, *_) = objective(p, z, diversity=3.0)
    assert w2.item() == pytest.approx(16 / 2)
    assert loss.item() == pytest.approx(8 + 3 * 4)


def test_diversity_draws_predictions_apart():
    p, z = torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[0.0], [5.0]]).double()
    f, (loss, w2, *_) = objective(p, z, diversity=3.0)
    (loss - w2).backward()
    assert f.p.grad.squeeze().tolist() == pytest.approx([3.0, -3.0])  # descent: down on the left, up on the right


def test_a_step_reports_the_loss_that_it_descends_on():
    z = codes(300, 4, scale=5.0, shift=-2.0)
    sampler = make(300, 4, steps=2, diversity=0.5)
    sampler.fit(z)
    step_codes(sampler, z, steps=1)
    batch = z[torch.randint(300, (128,), generator=generator(0, "rows", 1))]
    loss, w2, p, matched = sampler.objective(sampler.map, batch, generator(0, "step", 1))
    assert torch.equal(p, sampler.map(sampler.source(128, generator(0, "step", 1))))
    step_codes(sampler, z, steps=1)
    assert sampler.observed["loss"].item() == loss.item() > w2.item() == sampler.observed["w2_squared"].item()
    assert w2.item() == regression(p, matched).item()
    assert sampler.updates == {"map": 2}


def test_draws_from_exponential_codes_are_nearer_to_their_law_than_any_gaussian():
    """On a line the distance is that of quantiles, here -log(1 - u), of which the best Gaussian stays 0.18 away."""
    z = -torch.rand(2000, 1, generator=generator(0, "z")).log()
    drawn = trained(z, 200, lr=1e-3).sample(4000, generator(0, "draw")).detach().squeeze().sort().values
    u = (torch.arange(4000) + 0.5) / 4000
    assert (drawn + (1 - u).log()).square().mean() < 0.12


def test_the_held_codes_are_two_disjoint_samples():
    z = codes(100, 3)
    sampler = make(100, 3)
    sampler.fit(z)
    first, second = (torch.cdist(half, z).argmin(dim=1) for half in sampler.held)
    assert torch.equal(z[torch.cat([first, second])], sampler.held.flatten(0, 1))
    assert len(torch.cat([first, second]).unique()) == 100
    assert make(60_000, 3).held.shape == (2, 1024, 3)
    floor = ot.emd2([], [], ot.dist(sampler.held[1].double().numpy(), sampler.held[0].double().numpy()))
    unit = z.double().var(dim=0, correction=0).sum().item()
    assert sampler.facts()["w2_squared_of_codes"] == pytest.approx(floor / unit, rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_what_is_learnt_shifts_and_scales_with_the_codes(weight):
    z = codes(100, 4)
    plain, moved = trained(z, 30, diversity=weight), trained(8 * z, 30, diversity=weight)
    w = plain.source(50, generator(0, "w"))
    assert torch.equal(8 * plain.transport(w), moved.transport(w))
    assert moved.facts()["w2_squared"] == pytest.approx(plain.facts()["w2_squared"], rel=1e-6)
    shifted = trained(8 * z - 16, 1)
    assert torch.allclose(shifted.map.frame(8 * z - 16), plain.map.frame(z), atol=1e-5)


def test_draws_for_codes_within_0_and_1_are_there_too():
    drawn = trained(torch.rand(200, 3, generator=generator(0, "z")), 20).sample(500, generator(0, "draw"))
    assert drawn.min() >= 0
    assert drawn.max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("z", [codes(1, 3), torch.full((9, 3), 5.0), codes(5, 40), codes(3, 4).repeat(7, 1)])
def test_degenerate_codes_are_learnt_too(z):
    sampler = trained(z, 100, width=0.25, diversity=0.5)
    drawn = sampler.sample(20, generator(0, "draw"))
    assert drawn.shape == (20, z.shape[1])
    assert drawn.dtype == torch.float32
    assert all(math.isfinite(value) for value in [*drawn.flatten().tolist(), *sampler.facts().values()])
    if len(z.unique(dim=0)) == 1:
        assert (drawn - z[0]).abs().max() < 0.5


def test_codes_outside_the_unit_cube_are_not_squashed():
    with pytest.raises(InputError, match=r"'squash' = true with codes from -.* allowed: within \[0, 1\]"):
        make(20, 2, squash=True).fit(codes(20, 2))
