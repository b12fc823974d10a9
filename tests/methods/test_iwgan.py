import copy
import itertools
import math

import numpy as np
import ot
import pytest
import torch
from driving import assert_interruption_changes_nothing, assert_slopes, fit, normal, run, seeded
from scipy.optimize import linear_sum_assignment
from torch import nn

from latent_ot.datasets.toy import MIXTURES
from latent_ot.errors import Declined, InputError
from latent_ot.methods.iwgan import POINTS, Gap, Iwgan, IwganConfig, infimum, objective, wasserstein
from latent_ot.metrics.quality import reconstruction_errors
from latent_ot.seeding import derive, generator
from latent_ot.stage import Batch, Spec
from latent_ot.transport.mmd import mmd_squared


def build(shape=(2,), steps=4, width=0.05, **settings):
    torch.manual_seed(0)
    small = {"batch_size": 8, "latent_dim": 5, "n_critic": 2, "gap_every": 1}
    config = IwganConfig(**{**Iwgan.defaults(shape, settings), **small, **settings})
    rows = 2 * config.n_critic * config.batch_size
    return Iwgan(config, Spec(shape, 200, steps * rows, width))


def batches(method, steps=4, seed=0):
    n, g = method.rows_per_step, seeded(seed)
    return [Batch(torch.arange(n), torch.rand(n, *method.spec.shape, generator=g)) for _ in range(steps)]


def linear(weight):
    layer = nn.Linear(len(weight), 1)
    layer.weight.data, layer.bias.data = torch.tensor([weight]), torch.zeros(1)
    return layer


def identity():
    layer = nn.Linear(2, 2)
    layer.weight.data, layer.bias.data = torch.eye(2), torch.zeros(2)
    return layer


class Flat(nn.Module):
    def forward(self, x):
        return 0 * x.flatten(1).sum(1, keepdim=True) + 3.0


# L(G, Q, f)


def test_a_constant_critic_leaves_the_mean_reconstruction_error():
    method, x, z = build(), torch.randn(9, 2), torch.randn(7, 5)
    terms = objective(method.G, method.Q, Flat(), x, z)
    torch.testing.assert_close(terms.value, (x - method.G(method.Q(x))).norm(dim=1).mean())
    assert torch.equal(terms.codes, method.Q(x))


@pytest.mark.parametrize("weight", [[1.0, 0.0], [0.3, -2.0]])
def test_identities_on_normal_data_have_objective_zero_for_every_linear_critic(weight):
    g, n = seeded(1), 20_000
    x, z = torch.randn(n, 2, generator=g), torch.randn(n, 2, generator=g)
    value = objective(nn.Identity(), nn.Identity(), linear(weight), x, z).value
    deviation = np.linalg.norm(weight) * (2 / n) ** 0.5
    assert abs(value.item()) < 3 * deviation
    shifted = objective(nn.Identity(), nn.Identity(), linear(weight), x + 1, z).value
    assert shifted.item() == pytest.approx(sum(weight), abs=3 * deviation)


def test_the_objective_bounds_the_distance_of_data_and_samples_and_meets_it_for_a_constant_generator():
    method, x, z = build(), 3 + torch.randn(40, 2), torch.randn(40, 5)

    def wasserstein(a, b):
        return ot.emd2([], [], torch.cdist(a, b).detach().double().numpy())

    with torch.no_grad():
        rebuilt, samples = method.G(method.Q(x)), method.G(z)
        highest = objective(method.G, method.Q, Flat(), x, z).value + wasserstein(rebuilt, samples)  # sup over f
        assert highest >= wasserstein(x, samples) - 1e-6
        nothing = copy.deepcopy(method.G)
        nothing[-1].weight.zero_()
        value = objective(nothing, method.Q, method.f, x, z).value.item()
        assert value == pytest.approx(wasserstein(x, nothing(z)), rel=1e-5)


def test_the_gradient_of_the_objective_is_its_finite_difference():
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(a, 6), nn.Tanh(), nn.Linear(6, b)).double() for a, b in ((3, 2), (2, 3), (2, 1))]
    x, z = torch.randn(10, 2, dtype=torch.float64), torch.randn(10, 3, dtype=torch.float64)
    parameters = [p for net in nets for p in net.parameters()]
    assert_slopes(lambda: objective(*nets, x, z).value, parameters, step=1e-5, rel=1e-6)


def test_the_penalty_of_a_linear_critic_is_known():
    method = build()
    for weight in ([3.0, 4.0], [0.6, 0.8], [0.0, 0.0]):
        f, x = linear(weight), torch.randn(8, 2)
        method.generator = seeded(3)
        distance, penalty = method.critic_terms(method.G, method.Q, f, x)
        assert penalty.item() == pytest.approx((np.linalg.norm(weight) - 1) ** 2, abs=1e-6)
        z = torch.randn(8, 5, generator=seeded(3))
        expected = (f(method.G(method.Q(x))).mean() - f(method.G(z)).mean()).item()
        assert distance.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("between", ["data", "reconstructions"])
def test_penalised_points_lie_between_samples_and_the_chosen_end(between):
    method, x, seen = build(between=between), torch.randn(8, 2), []
    method.f.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    method.critic_terms(method.G, method.Q, method.f, x)
    rebuilt, fake, points = seen
    end = x if between == "data" else rebuilt
    t = ((points - fake) * (end - fake)).sum(1) / (end - fake).square().sum(1)
    torch.testing.assert_close(points, torch.lerp(fake, end, t[:, None]), atol=1e-5, rtol=1e-5)
    assert ((t > 0) & (t < 1)).all()
    assert len(t.unique()) == 8


# Algorithm 1


def test_steps_are_counted_and_each_sees_examples_of_its_own(train):
    method = build(n_critic=3, steps=2)
    assert method.rows_per_step == 2 * 3 * 8
    data, seen = batches(method, 2), []
    method.Q.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().clone()))
    method.duality_gap = lambda x, g: Gap(*torch.zeros(5))  # it would look, too
    before = {k: v.clone() for k, v in method.named_parameters()}
    train(method, data)
    assert method.updates == {"critic": 6, "autoencoder": 6}
    assert method.images_seen == 2 * method.rows_per_step
    assert torch.equal(torch.cat(seen), torch.cat([b.image for b in data]))
    assert all(not torch.equal(v, before[k]) for k, v in method.named_parameters() if k != "f.6.bias")  # it cancels
    assert all(p.requires_grad for p in method.parameters())


def stepped(train, rate, f_rate):
    """Take one step of plain descent of f, then of G and Q; return L and the critic's part of it before and after."""
    method = build(steps=1, n_critic=1, mmd_weight=0.0, penalty=0.0)
    method.configure_optimizers = lambda: [
        torch.optim.SGD([*method.G.parameters(), *method.Q.parameters()], lr=rate),
        torch.optim.SGD(method.f.parameters(), lr=f_rate),
    ]
    data, g = batches(method, 1), generator(0, "step", 0)
    x_f, x = data[0].image.chunk(2)
    z_f, _, z = torch.randn(8, 5, generator=g), torch.rand(8, generator=g), torch.randn(8, 5, generator=g)
    start = copy.deepcopy((method.G, method.Q, method.f))
    train(method, data)
    G, Q, f = start
    ascent = [objective(G, Q, critic, x_f, z_f).distance.item() for critic in (f, method.f)]
    descent = [objective(*nets, method.f, x, z).value.item() for nets in ((G, Q), (method.G, method.Q))]
    moved = [any(not torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True))
             for old, new in zip(start, (method.G, method.Q, method.f), strict=True)]  # fmt: skip
    return ascent, descent, moved


def test_a_critic_step_raises_its_objective_and_moves_the_critic_alone(train):
    (before, after), _, moved = stepped(train, rate=0.0, f_rate=1e-2)
    assert after > before
    assert moved == [False, False, True]


def test_a_step_of_generator_and_encoder_lowers_the_objective_and_leaves_the_critic(train):
    _, (before, after), moved = stepped(train, rate=1e-3, f_rate=0.0)
    assert after < before
    assert moved == [True, True, False]


def test_codes_are_drawn_to_the_prior(train):
    mismatch = []
    for weight in (0.0, 10.0):
        method = build(steps=40, mmd_weight=weight, lr=5e-3, batch_size=64, n_critic=1)
        train(method, batches(method, 40))
        with torch.no_grad():
            mismatch.append(mmd_squared(method.Q(torch.rand(500, 2, generator=seeded(1))), torch.randn(500, 5)).item())
    assert mismatch[1] < 0.5 * mismatch[0]


# The duality gap


def ring(n, seed):
    """Draw float32 points (n, 2) of ring8."""
    centres, std = MIXTURES["ring8"]()
    g = seeded(seed)
    rows = torch.from_numpy(centres).float()[torch.randint(len(centres), (n,), generator=g)]
    return rows + std * torch.randn(n, 2, generator=g)


def assigned(a, b):
    """Return W_1 of two batches as SciPy finds it."""
    cost = torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist").numpy()
    return cost[linear_sum_assignment(cost)].mean()


@pytest.fixture(scope="module")
def stages():
    """Return iWGAN on ring8 as it is learned: untrained, after 3 steps, after 15 and after 40."""
    method, found = build(steps=40, batch_size=32, lr=3e-3, gap_every=1, **WIDE), []
    method.after_step = lambda: method.step in (3, 15, 40) and found.append(copy.deepcopy(method.state_dict()))
    found.append(copy.deepcopy(method.state_dict()))
    n = method.rows_per_step
    fit(method, [Batch(torch.arange(n), ring(n, t)) for t in range(40)])
    return [trained(weights) for weights in found]


WIDE = {"width": 0.1}


def trained(weights, **settings):
    """Return the method with these weights."""
    method = build(**WIDE, **settings)
    method.load_state_dict(weights)
    return method


def test_the_gap_lies_between_exact_bounds_at_every_stage_of_training(stages):
    """From below Theorem 2.2, and L at any critic of slope at most 1; from above any other plan of transport."""
    x, values = ring(300, 999), []
    for method in stages:
        gap = method.duality_gap(x, seeded(1))
        with torch.no_grad():
            g = seeded(1)
            rebuilt, fake = method.G(method.Q(x)), method.G(method.prior(300, g))
            lowest = assigned(x, rebuilt) + assigned(rebuilt, fake)
            ways = [torch.tensor([math.cos(a), math.sin(a)]) for a in range(8)]
            critics = [
                *((lambda y, w=w: y @ w) for w in ways),
                *((lambda y, w=w: (y - 2 * w).norm(dim=1)) for w in ways),
            ]
            highest_seen = max(objective(method.G, method.Q, f, x, method.prior(300, seeded(1))).value for f in critics)
            unpaired = (x - rebuilt).norm(dim=1).mean() + (rebuilt - fake).norm(dim=1).mean()
        assert max(lowest, highest_seen.item()) - 1e-5 <= gap.value.item() <= unpaired.item() + 1e-5
        exact = (x - rebuilt).double().norm(dim=1).mean() + assigned(rebuilt, fake)
        assert gap.value.item() == pytest.approx(exact.item(), abs=1e-6)
        assert gap.infimum <= 1e-6
        values.append(gap.value.item())
    assert len(set(values)) == len(stages)


def test_the_gap_does_not_move_with_the_rate_or_any_other_setting_of_the_training(stages):
    x, weights = ring(200, 999), stages[1].state_dict()
    gaps = [
        trained(weights, **settings).duality_gap(x, seeded(1))
        for settings in ({"lr": 1e-4}, {"lr": 1e-3}, {"penalty": 100.0, "n_critic": 7, "batch_size": 3})
    ]
    assert gaps[0] == gaps[1] == gaps[2]


def test_exact_reconstructions_of_samples_law_have_the_gap_of_two_samples():
    method = build(latent_dim=2)
    method.G, method.Q = identity(), identity()
    gap = method.duality_gap(normal(500, 2, 3), seeded())
    assert gap.reconstruction.item() == pytest.approx(0, abs=2e-6)
    assert gap.transport.item() == pytest.approx(gap.floor.item(), rel=0.4)
    shifted = method.duality_gap(normal(500, 2, 3) + torch.tensor([3.0, 0.0]), seeded())
    assert shifted.value.item() == pytest.approx(3, abs=0.2)  # W_1 of a shift is its length


def test_the_transport_of_samples_on_a_line_is_that_of_sorted_ones():
    x, y = normal(50, 1, 1).double(), 2 * normal(50, 1, 2).double() - 1
    assert wasserstein(x, y).item() == pytest.approx(
        (x.sort(0).values - y.sort(0).values).abs().mean().item(), abs=1e-9
    )
    assert wasserstein(x, torch.full_like(y, torch.nan)).isnan()


def test_the_infimum_is_the_least_over_every_choice_of_outputs():
    x, outputs, f = normal(3, 2, 1).double(), normal(4, 2, 2).double(), normal(4, 1, 3).double().flatten()
    every = itertools.product(range(4), repeat=4)  # an output for each example, and one for all samples
    least = min(
        ((x - outputs[list(chosen[:3])]).norm(dim=1) + f[list(chosen[:3])]).mean() - f[chosen[3]] for chosen in every
    )
    assert infimum(x, outputs, f).item() == pytest.approx(least.item(), abs=1e-9)
    flat = torch.full((7,), 3.0, dtype=torch.float64)
    assert infimum(x, torch.cat([x, outputs]), flat).item() == pytest.approx(0, abs=1e-7)


def test_of_many_examples_the_first_count(monkeypatch):
    monkeypatch.setattr("latent_ot.methods.iwgan.GAP_EXAMPLES", 30)
    method, x = build(), normal(39, 2)
    assert method.duality_gap(x, seeded()) == method.duality_gap(x[:30], seeded())


def test_networks_that_diverged_have_no_gap():
    method = build()
    method.G[-1].weight.data.fill_(torch.nan)
    assert method.duality_gap(normal(20, 2), seeded()).value.isnan()


def snapshot(method):
    return {k: v.clone() for k, v in method.state_dict().items()}


def test_an_estimate_leaves_everything_as_it_was():
    method = build((3, 16, 16))
    (method.f(torch.rand(2, 3, 16, 16)).sum() + method.G(torch.randn(2, 5)).sum()).backward()
    before, grads = snapshot(method), {k: p.grad for k, p in method.named_parameters()}
    copies = {k: g.clone() for k, g in grads.items() if g is not None}
    method.generator, drawn = seeded(5), seeded(5)
    x = torch.rand(16, 3, 16, 16)
    torch.manual_seed(9)
    method.duality_gap(x, seeded())
    after = torch.rand(1)
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())
    assert all(p.grad is grads[k] and p.requires_grad for k, p in method.named_parameters())
    assert all(torch.equal(grads[k], g) for k, g in copies.items())
    assert method.training
    assert torch.equal(torch.rand(3, generator=method.generator), torch.rand(3, generator=drawn))
    torch.manual_seed(9)
    assert torch.equal(after, torch.rand(1))


def test_training_ends_with_the_same_bytes_however_often_the_gap_is_estimated(train):
    rare, often = (train(build((3, 16, 16), gap_every=n), batches(build((3, 16, 16)))) for n in (1, 4))
    assert any("running_mean" in key for key in rare.state_dict())
    for key, value in rare.state_dict().items():
        assert torch.equal(value, often.state_dict()[key]), key  # the last estimate is at the last step of both
    for one, other in zip(rare.trainer.optimizers, often.trainer.optimizers, strict=True):
        for p, q in zip(one.state.values(), other.state.values(), strict=True):
            assert all(torch.equal(p[k], q[k]) for k in p)


@pytest.mark.parametrize(("steps", "every", "expected"), [(8, 4, [0, 2, 4, 6, 7]), (3, 20, [0, 1, 2]), (5, 1, [0, 4])])
def test_estimates_are_made_at_intervals_from_the_first_step_to_the_last(steps, every, expected, train):
    method, at = build(steps=steps, gap_every=every), []
    estimate = method.duality_gap
    method.duality_gap = lambda x, g: at.append((method.step, g.initial_seed())) or estimate(x, g)
    train(method, batches(method, steps))
    assert at == [(step, derive(0, "gap", step)) for step in expected]


def rows(method):
    return torch.randn(method.spec.count, 2, generator=seeded(4))


def test_the_gap_is_in_the_log_from_the_first_step_on(tmp_path):
    method = build(steps=7, gap_every=3)
    result = run(method, rows(method), tmp_path)
    logged = [(row["gap"], row["gap_infimum"], row["objective"]) for row in result["curve"]]
    assert len(logged) == 7
    assert len(set(logged)) == 4  # in steps 1, 3, 5 and 7
    assert logged[0] == logged[1] != logged[2]
    facts = result["facts"]
    assert (facts["duality_gap"], facts["gap_infimum"], facts["objective"]) == logged[-1]
    assert facts["duality_gap"] == pytest.approx(facts["gap_reconstruction"] + facts["gap_transport"])
    assert facts["gap_floor"] > 0


@pytest.mark.parametrize(
    ("reconstruction", "transport", "floor", "stop", "finished"),
    [(0.5, 0.4, 0.0, "duality_gap", True), (0.5, 0.6, 0.0, "duality_gap", False), (0.0, 1.1, 0.2, "duality_gap", True),
     (0.9, 0.4, 0.2, "duality_gap", False), (0.0, 0.0, 0.0, "budget", False)],
)  # fmt: skip
def test_a_run_goes_on_while_the_objective_at_the_best_critic_is_large(
    reconstruction, transport, floor, stop, finished
):
    method = build(stop=stop, gap_tol=1.0)
    method.last_gap.copy_(torch.tensor([reconstruction, transport, floor, -9.0, -9.0]))
    assert method.finished is finished


def test_one_mode_of_many_never_ends_a_run():
    method = build(latent_dim=2, stop="duality_gap", **{"gap_tol": POINTS["gap_tol"]})
    for p in method.G.parameters():  # every sample at one point, and a critic that sees no difference
        p.data.zero_()
    for p in method.f.parameters():
        p.data.zero_()
    method.last_gap.copy_(torch.stack(method.duality_gap(ring(200, 0), seeded())))
    assert not method.finished


def test_the_rule_ends_a_run_at_the_first_estimate_that_meets_it(tmp_path):
    first = run(build(steps=6, stop="duality_gap", gap_tol=1e3), rows(build()), tmp_path / "first")
    assert first["images_seen"] == build().rows_per_step
    never = run(build(steps=6, stop="duality_gap", gap_tol=1e-9), rows(build()), tmp_path / "never")
    assert never["images_seen"] == 6 * build().rows_per_step


def test_an_interruption_between_two_estimates_changes_nothing(tmp_path):
    def make():
        return build(steps=6, gap_every=2)

    assert_interruption_changes_nothing(make, rows(make()), tmp_path, after=2)


# The method


@pytest.mark.parametrize(
    ("shape", "network", "latent_dim", "batch", "penalty"),
    [
        ((2,), "toy", 5, 256, 1.0),
        ((1, 32, 32), "iwgan_mnist", 8, 64, 10.0),
        ((3, 64, 64), "iwgan_celeba", 64, 64, 10.0),
    ],
)
def test_settings_are_the_kinds_own(shape, network, latent_dim, batch, penalty):
    config = IwganConfig(**Iwgan.defaults(shape, {}))
    assert (config.network, config.latent_dim, config.batch_size, config.penalty) == (
        network, latent_dim, batch, penalty,
    )  # fmt: skip


@pytest.mark.parametrize("network", ["iwgan_mnist", "iwgan_celeba", "infogan"])
def test_it_reconstructs_by_its_encoder_and_samples_its_prior(network):
    method, x = build((1, 16, 16), network=network).eval(), torch.rand(4, 1, 16, 16)
    with torch.no_grad():
        rebuilt = method.reconstruct(x, torch.zeros(4, 5), steps=0)
        low, high = method.data_range
        torch.testing.assert_close(rebuilt, (method.G(method.Q(low + (high - low) * x)) - low) / (high - low))
        z = torch.randn(3, 5, generator=seeded(1))
        torch.testing.assert_close(method.sample(3, seeded(1)), method.decode(z))
    assert method.role == "end_to_end"
    assert reconstruction_errors(x, rebuilt).shape == (4,)
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in method.f.modules())


def test_networks_that_do_not_fit_the_data_are_one_line():
    for shape, network in (((2,), "iwgan_mnist"), ((1, 16, 16), "toy"), ((1, 28, 28), "iwgan_mnist")):
        with pytest.raises((InputError, Declined), match="allowed"):
            build(shape, network=network)
