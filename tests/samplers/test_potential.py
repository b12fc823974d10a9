import pytest
import torch
from driving import assert_slopes, normal, run
from scipy.optimize import linear_sum_assignment
from torch import nn

from latent_ot.bench.train import build
from latent_ot.samplers.potential import Potential, PotentialConfig, couple
from latent_ot.seeding import generator
from latent_ot.stage import Spec

SMALL = {"hidden": 64, "layers": 2, "activation": "elu", "batch_size": 64, "lr": 3e-3}


def make(z, steps=1, **config):
    config = PotentialConfig(**{**SMALL, **config})
    return build(Potential, config, Spec(z.shape[1:], len(z), steps * config.batch_size))


def trained(sampler, z, folder):
    run(sampler, z, folder)
    return sampler


def moves(sampler, y):
    return sampler.transport(y) - y


class Polynomial(nn.Module):
    """The potential a y + b y^2 / 2, whose move is a + b y; a constant would not be seen."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, y):
        return torch.cat([y, y.square() / 2], dim=1) @ self.weights[:, None]


@pytest.mark.parametrize(("d", "n"), [(1, 64), (2, 128), (64, 128)])
def test_coupling_is_feasible_tight_and_strongly_dual(d, n):
    x, y = 2 * normal(n, d, 1) + 1, normal(n, d, 2)
    h_x, h_y, partner, cost = couple(x.double(), y.double())
    c = 0.5 * ((x.double()[:, None] - y.double()) ** 2).sum(2)
    torch.testing.assert_close(cost, c, atol=1e-12, rtol=1e-12)
    assert (h_x[:, None] - h_y - c).max() < 1e-12
    best = c.numpy()[linear_sum_assignment(c.numpy())].mean()
    assert float(h_x.mean() - h_y.mean()) == pytest.approx(best, rel=1e-9)
    assert float((0.5 * (partner - y) ** 2).sum(1).mean()) == pytest.approx(best, rel=1e-9)
    assert torch.equal(partner.unique(dim=0), x.double().unique(dim=0))
    assert abs(float(torch.cat([h_x, h_y]).mean())) < 1e-12


def test_duplicates_are_coupled_once_each():
    x, y = normal(4, 3, 1).repeat(8, 1), normal(32, 3, 2)
    _, _, partner, _ = couple(x, y)
    assert torch.equal(partner.unique(dim=0, return_counts=True)[1], torch.full((4,), 8))


@pytest.mark.parametrize("potentials", ["two", "single"])
def test_the_loss_is_that_of_the_docstring(potentials):
    x, y = normal(32, 3, 1).double() + 2, normal(32, 3, 2).double()
    sampler = make(x, potentials=potentials, gradient_weight=0.3).double()
    h_x, h_y, partner, _ = couple(x, y)
    at = y.clone().requires_grad_()
    psi = sampler.psi(at)[:, 0]
    move = torch.autograd.grad(psi.sum(), at, retain_graph=True)[0]
    if potentials == "two":
        phi = sampler.phi(x)[:, 0]
        expected = (phi - h_x).var(correction=0) + (psi - h_y).var(correction=0)
    else:
        assert not hasattr(sampler, "phi")
        off = torch.cat([sampler.psi(x)[:, 0] - h_x, psi - h_y])
        expected = 2 * off.var(correction=0)
    expected = expected + 0.3 * (move - (partner - y)).square().sum() / 32
    torch.testing.assert_close(sampler.loss(x, y)[0], expected)


@pytest.mark.parametrize("activation", ["leaky_relu", "softplus", "elu"])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_gradients_through_the_gradient_equal_finite_differences(activation, weight):
    x, y = normal(16, 3, 1).double() + 2, normal(16, 3, 2).double()
    sampler = make(x, activation=activation, hidden=8, layers=3, gradient_weight=weight).double()
    parameters = list(sampler.psi.parameters())
    gradients = assert_slopes(lambda: sampler.loss(x, y)[0], parameters, abs=1e-7)
    assert abs(float(gradients[-1])) < 1e-9  # the constant of a potential is free


@pytest.mark.parametrize(("potentials", "shift", "curvature"), [("two", 1.96, 0.95), ("single", 1.48, 0.50)])
def test_one_function_for_both_sides_has_wrong_slopes_and_two_have_the_right_ones(potentials, shift, curvature):
    """Least squares on the duals alone, on a line: N(0, 1) to N(2, 1), and to N(0, 4), where truth is 2 and 1."""

    def fitted(x, y):
        sampler = make(x, potentials=potentials, gradient_weight=0.0)
        sampler.psi = Polynomial()
        if potentials == "two":
            sampler.phi = Polynomial()
        rates = torch.optim.LBFGS(sampler.parameters(), max_iter=10, line_search_fn="strong_wolfe")

        def closure():
            rates.zero_grad()
            loss = sampler.loss(x, y)[0]
            loss.backward()
            return loss

        rates.step(closure)
        return sampler.psi.weights.tolist()

    y, x = normal(500, 1, 1).double(), normal(500, 1, 2).double()
    assert fitted(x + 2, y)[0] == pytest.approx(shift, abs=0.1)
    assert fitted(2 * x, y)[1] == pytest.approx(curvature, abs=0.08)


def test_a_shifted_gaussian_is_reached_by_the_shift(tmp_path):
    z = normal(4000, 2) + torch.tensor([2.0, -1.0])
    sampler = trained(make(z, 200, standardise=False, batch_size=128), z, tmp_path)
    found = moves(sampler, normal(1000, 2, 1))
    torch.testing.assert_close(found.mean(0), torch.tensor([2.0, -1.0]), atol=0.2, rtol=0)
    assert found.std(0).max() < 0.2


@pytest.mark.slow
def test_a_gaussian_of_scale_two_has_curvature_one(tmp_path):
    z = 2 * normal(4000, 2)
    sampler = trained(make(z, 250, standardise=False, batch_size=128), z, tmp_path)
    y = normal(1000, 2, 1)
    y = y[y.norm(dim=1) < 1.5]  # outside a batch has few points
    curvature = torch.linalg.lstsq(y, moves(sampler, y)).solution
    torch.testing.assert_close(curvature, torch.eye(2), atol=0.15, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("root", [[[3.0, 1.0], [1.0, 1.0]], [[3.0, 0.0], [0.0, 0.0]]])
def test_the_map_onto_a_gaussian_is_the_root_of_its_covariance(root, tmp_path):
    """With a constant dimension, too."""
    root, mean = torch.tensor(root), torch.tensor([50.0, 20.0])
    z = normal(4000, 2) @ root + mean
    sampler = trained(make(z, 200, batch_size=128), z, tmp_path)
    y = normal(1000, 2, 1)
    error = sampler.transport(y) - (y @ root + mean)
    assert error.square().sum(1).mean() < 0.04 * root.square().sum()
    assert all(0 < value < 0.5 for value in sampler.facts().values())


def test_the_duality_gap_is_that_of_the_c_transform_and_never_negative():
    x, y = 3 * normal(40, 2, 1).double(), normal(40, 2, 2).double()
    sampler = make(x).double()
    gap = float(sampler.loss(x, y)[1][3])
    c = 0.5 * ((x[:, None] - y) ** 2).sum(2)
    with torch.no_grad():
        psi = sampler.psi(y)[:, 0]
    best = c.numpy()[linear_sum_assignment(c.numpy())].mean()
    assert gap == pytest.approx(1 - float((psi + c).min(1).values.mean() - psi.mean()) / best, rel=1e-9)
    assert gap > 0
    best_values = couple(x, y)[1][:, None]
    sampler.psi.forward = lambda at: best_values + 0 * at.sum()
    assert float(sampler.loss(x, y)[1][3]) == pytest.approx(0.0, abs=1e-9)


def test_a_leaky_network_moves_its_pieces_as_wholes():
    y = torch.tensor([[0.3, 0.2]]) + 1e-4 * normal(50, 2)
    rigid, bent = (moves(make(y, activation=name), y) for name in ("leaky_relu", "softplus"))
    assert len((rigid * 1e6).round().unique(dim=0)) < 5
    assert len((bent * 1e9).round().unique(dim=0)) > 5


def test_fewer_codes_than_dimensions_and_than_a_batch_can_be_trained_on(tmp_path):
    z = torch.cat([normal(10, 20), torch.full((10, 1), 5.0)], dim=1)
    drawn = trained(make(z, 60), z, tmp_path).sample(300, generator(0, "draw"))
    assert (drawn.mean(0) - z.mean(0)).abs().max() < 0.5
    assert drawn.std(0).max() < 2


def test_width_scales_hidden_layers_alone():
    sampler = Potential(PotentialConfig(), Spec((7,), 10, 128, width=0.25))
    assert [layer.out_features for layer in sampler.psi if isinstance(layer, nn.Linear)] == [128] * 6 + [1]
    assert sampler.psi[0].in_features == 7
    assert isinstance(sampler.psi[1], nn.LeakyReLU)
