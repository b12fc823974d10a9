import copy

import pytest
import torch
from driving import normal
from scipy.optimize import linear_sum_assignment

from latent_ot.bench.train import Stopped, Watch
from latent_ot.bench.train import train as run_stage
from latent_ot.losses.gradient_penalty import slopes
from latent_ot.methods.wgan_qc import WganQc, WganQcConfig, potentials, transport_regularizer
from latent_ot.stage import Spec

K = 0.37


def build(shape=(1, 16, 16), images=96, **settings):
    torch.manual_seed(0)
    config = WganQcConfig(**{"batch_size": 4, "latent_dim": 5, **settings})
    return WganQc(config, Spec(shape, 100, images, width=0.05))


def costs(x, y):
    return K / 2 * (x.double().flatten(1)[:, None] - y.double().flatten(1)[None]).square().sum(dim=2)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_potentials_solve_the_dual_of_the_batchs_assignment(shift):
    x, y = normal(24, 48).view(24, 3, 4, 4), normal(24, 48, seed=1).view(24, 3, 4, 4) + shift
    H, c = potentials(x, y, K), costs(x, y)
    least = c.numpy()[linear_sum_assignment(c.numpy())].mean()
    assert (H.real.mean() - H.fake.mean()).item() == pytest.approx(least, rel=1e-6)  # strong duality
    assert (c - H.real[:, None] + H.fake[None]).min() > -1e-9  # feasible
    assert torch.cat([H.real, H.fake]).mean().item() == pytest.approx(0, abs=1e-9)  # centred
    assert sorted(H.partner.tolist()) == list(range(24))
    tight = c[H.partner, torch.arange(24)] - (H.real[H.partner] - H.fake)
    assert tight.abs().max() < 1e-9


def quadratic(hessian, linear):
    """Return D with y + grad D / K = hessian * y + linear, for a diagonal and a vector."""
    return lambda y: K * (0.5 * ((hessian - 1) * y.square()).sum(dim=1) + y @ linear)


@pytest.mark.parametrize(("spread", "shift"), [(1.0, 2.0), (3.0, 0.0), (0.5, -1.0)])
def test_at_the_optimum_the_gradient_points_to_the_partner_and_the_regularizer_is_zero(spread, shift):
    y = normal(40, 6).double().requires_grad_(True)
    hessian, linear = torch.linspace(1, spread, 6).double(), torch.full((6,), shift).double()
    x = (hessian * y + linear).detach()  # the gradient of a convex function, hence optimal
    D = quadratic(hessian, linear)
    H = potentials(x, y, K)
    assert H.partner.tolist() == list(range(40))
    (gradient,) = torch.autograd.grad(D(y).sum(), y)
    torch.testing.assert_close(x[H.partner], y + gradient / K)
    distance = (x[H.partner] - y).norm(dim=1).detach()
    assert transport_regularizer(slopes(D(y), y), distance, K).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_the_regularizer_of_a_slope_that_is_a_multiple_of_the_optimal_one(factor):
    y, t = normal(10, 6).double().requires_grad_(True), torch.full((6,), 0.5).double()
    penalty = transport_regularizer(slopes(factor * K * (y @ t), y), t.norm().expand(10), K)
    assert penalty.item() == pytest.approx(K / 8 * t.square().sum().item() * (factor - 1) ** 2, rel=1e-12)


@pytest.mark.parametrize(("network", "low"), [("wgan_qc", -1), ("infogan", 0)])
def test_one_outer_step_is_one_regression_and_one_ascent_on_the_same_codes(network, low, train, blobs):
    method, batches = build(network=network, K=K, gamma=0.7), blobs(1, 4)
    batches[0].image.uniform_()
    rate = 1e-3
    method.configure_optimizers = lambda: [torch.optim.SGD(net.parameters(), lr=rate) for net in (method.G, method.D)]
    D0, G0, codes = copy.deepcopy(method.D), copy.deepcopy(method.G), []
    method.G.register_forward_pre_hook(lambda module, args: codes.append(args[0].clone()))
    train(method, batches)
    assert method.rows_per_step == 4
    assert method.updates == {"critic": 1, "generator": 1}
    assert torch.equal(*codes)

    x, z = low + (1 - low) * batches[0].image, codes[0]
    y = copy.deepcopy(G0)(z).detach().requires_grad_(True)
    H, c = potentials(x, y, K), costs(x, y.detach())
    rows, columns = linear_sum_assignment(c.T.numpy())
    assert rows.tolist() == [0, 1, 2, 3]
    d_y = D0(y).squeeze(1)
    otr = (slopes(d_y, y) / (2 * K**0.5) - K**0.5 / 2 * (x[columns] - y.detach()).flatten(1).norm(dim=1)).square()
    loss = 0.5 * (D0(x).mean() - H.real.mean().float()).square() + 0.5 * (d_y - H.fake.float()).square().mean()
    loss = loss + 4 * K**0.5 * 0.7 * 0.5 * otr.mean()
    for before, after, slope in zip(
        D0.parameters(), method.D.parameters(), torch.autograd.grad(loss, D0.parameters()), strict=True
    ):
        torch.testing.assert_close(after, before - rate * slope, atol=1e-6, rtol=1e-5)
    score = method.D(G0(z)).mean()
    for before, after, slope in zip(
        G0.parameters(), method.G.parameters(), torch.autograd.grad(score, G0.parameters()), strict=True
    ):
        torch.testing.assert_close(after, before + rate * slope, atol=1e-6, rtol=1e-5)
    least = c.numpy()[linear_sum_assignment(c.numpy())].mean()
    assert method.observed["distance"].item() == pytest.approx(least, rel=1e-6)


def test_the_average_begins_in_the_last_twelfth_and_samples_come_from_it(train, blobs):
    # 24 steps stand for 60,000: a decay of 0.25 a step here is one of 0.25^(24 / 60,000) there.
    method, z, weights = build(ema=0.25 ** (24 / 60_000), network="infogan"), normal(3, 5), []
    assert method.total_steps == 24
    method.after_step = lambda: weights.append(copy.deepcopy(method.G.state_dict()))
    train(method, blobs(22, 4))
    with torch.no_grad():
        assert method.facts() == {"averaged_steps": 0}
        assert torch.equal(method.eval().decode(z), method.to_unit(method.G(z)))
    train(method.train(), blobs(2, 4))
    assert method.facts() == {"averaged_steps": 2}
    first, last = weights[-2:]
    for name, value in method.average.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.25 * first[name] + 0.75 * last[name])
    with torch.no_grad():
        drawn = method.eval().decode(z)
        assert torch.equal(drawn, method.to_unit(method.average.module(z)))
        assert not torch.equal(drawn, method.to_unit(method.G(z)))


@pytest.mark.slow
def test_a_stop_while_the_average_is_taken_changes_nothing(tmp_path, blobs):
    images, asked, stages = (255 * blobs(1, 100)[0].image).byte(), [], {}

    def run(name, stop=lambda: False):
        stage = build(network="infogan", ema_share=0.5)
        (tmp_path / name).mkdir(exist_ok=True)
        stages[name] = stage
        run_stage(stage, images, tmp_path / name, Watch(lambda **values: None, stop, 1e9), torch.device("cpu"))

    run("whole")
    with pytest.raises(Stopped):
        run("halves", lambda: asked.append(1) or len(asked) == 20)
    assert stages["halves"].facts() == {"averaged_steps": 8}
    run("halves")
    assert stages["halves"].facts() == stages["whole"].facts() == {"averaged_steps": 12}
    for name, value in stages["whole"].state_dict().items():
        assert torch.equal(stages["halves"].state_dict()[name], value), name


def test_the_cost_is_a_mean_over_pixels():
    assert build((3, 16, 16)).K == 1 / (3 * 16 * 16)
