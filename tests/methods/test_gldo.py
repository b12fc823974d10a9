import pytest
import torch
from torch import nn

from latent_ot.errors import InputError
from latent_ot.methods.gldo import EPS, Gldo, GldoConfig, code_gradients, gradient_penalty
from latent_ot.methods.glo import Glo, GloConfig
from latent_ot.networks.infogan import Generator
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec

SPEC = Spec((1, 8, 8), 16, 10**4, width=0.1)


def build(kind, config, **settings):
    torch.manual_seed(0)
    return kind(config.build({"batch_size": 8, "latent_dim": 6, "init_std": 0.1, **settings}, "test"), SPEC)


def batches(steps):
    x = torch.rand(16, 1, 8, 8, generator=generator(0, "test"))
    indices = (torch.randperm(16, generator=generator(0, "test", t))[:8] for t in range(steps))
    return [Batch(i, x[i]) for i in indices]


def doubles(*shape, index=0):
    return torch.randn(*shape, dtype=torch.float64, generator=generator(1, "test", index))


def test_without_penalty_it_is_glo_without_projection(train):
    gldo = train(build(Gldo, GldoConfig, eps=0), batches(6))
    glo = train(build(Glo, GloConfig, projection="none"), batches(6))
    for name, value in glo.state_dict().items():
        assert torch.equal(gldo.state_dict()[name], value), name


def test_codes_descend_the_loss_alone_whatever_the_penalty(train):
    plain, heavy = (train(build(Gldo, GldoConfig, eps=eps), batches(1)) for eps in (0, 1e4))
    assert torch.equal(plain.Z.codes, heavy.Z.codes)
    assert not torch.equal(plain.G[0].weight, heavy.G[0].weight)


def test_codes_start_normal_and_stay_off_the_sphere(train):
    method = build(Gldo, GldoConfig)
    assert method.first_codes().std() == pytest.approx(1, rel=0.2)
    train(method, batches(3))
    assert method.Z.codes.norm(dim=1).std() > 0.1


@pytest.mark.parametrize("penalty", ["norm", "squared_norm"])
def test_the_penalty_of_a_linear_generator_is_known(penalty):
    A, z, x = doubles(20, 4), doubles(7, 4, index=1).requires_grad_(), doubles(7, 20, index=2)
    gradient = code_gradients((z @ A.T - x).square().sum(dim=1), z)
    known = (2 * (z @ A.T - x) @ A).norm(dim=1)
    torch.testing.assert_close(gradient_penalty(gradient, penalty), known if penalty == "norm" else known.square())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("penalty", ["norm", "squared_norm"])
def test_the_generators_gradient_of_the_penalty_is_that_of_finite_differences(training, penalty):
    torch.manual_seed(0)
    net = Generator(5, (1, 8, 8), width=0.05).double().train(training)
    z, x = doubles(6, 5), torch.rand(6, 1, 8, 8, dtype=torch.float64)
    parameters = list(net.parameters())

    def value():
        codes = z.clone().requires_grad_()
        losses = (net(codes) - x).square().flatten(1).mean(dim=1)
        return gradient_penalty(code_gradients(losses, codes), penalty).mean()

    gradients = torch.autograd.grad(value(), parameters)
    for index in range(3):
        direction = [doubles(*p.shape, index=10 + index) for p in parameters]
        ends = []
        for step in (1e-8, -2e-8, 1e-8):  # small, as the penalty jumps where a leaky unit changes sign
            with torch.no_grad():
                for p, d in zip(parameters, direction, strict=True):
                    p.add_(d, alpha=step)
            ends.append(value().item())
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True))
        assert (ends[0] - ends[1]) / 2e-8 == pytest.approx(slope, rel=1e-4)


def test_with_fixed_normalisation_each_image_has_the_gradient_it_has_alone():
    net = Generator(5, (1, 8, 8), width=0.05).double().eval()
    z, x = doubles(6, 5).requires_grad_(), torch.rand(6, 1, 8, 8, dtype=torch.float64)

    def losses(z, x):
        return (net(z) - x).square().flatten(1).mean(dim=1)

    alone = [torch.autograd.grad(losses(z[i : i + 1], x[i : i + 1]).sum(), z)[0][i] for i in range(6)]
    torch.testing.assert_close(code_gradients(losses(z, x), z), torch.stack(alone))


@pytest.mark.parametrize("penalty", ["norm", "squared_norm"])
def test_with_fixed_codes_a_larger_eps_leaves_smaller_code_gradients(penalty):
    z, x, found = doubles(20, 3), doubles(20, 6, index=1), []
    for eps in (0.0, 0.1, 1.0):
        net = nn.Linear(3, 6).double()
        nn.init.zeros_(net.weight)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
        for _ in range(200):
            codes = z.clone().requires_grad_()
            losses = (net(codes) - x).square().mean(dim=1)
            penalties = gradient_penalty(code_gradients(losses, codes), penalty)
            optimizer.zero_grad()
            (losses + eps * penalties).mean().backward()
            optimizer.step()
        found.append(float(penalties.detach().mean()))
    assert found[0] > found[1] > found[2]


def test_a_perfect_reconstruction_has_a_finite_gradient():
    A = doubles(20, 4).requires_grad_()
    z = doubles(7, 4, index=1).requires_grad_()
    penalty = gradient_penalty(code_gradients((z @ A.T - (z @ A.T).detach()).square().sum(dim=1), z), "norm")
    (gradient,) = torch.autograd.grad(penalty.sum(), A)
    assert torch.isfinite(gradient).all()


def test_eps_is_looked_up_by_loss_and_penalty_unless_it_is_given(train):
    default, given = (train(build(Gldo, GldoConfig, eps=eps), batches(2)) for eps in (None, EPS["l2", "norm"]))
    assert torch.equal(default.G[0].weight, given.G[0].weight)


def test_a_squared_norm_needs_a_weight():
    with pytest.raises(InputError, match="'eps' = None with penalty 'squared_norm'"):
        build(Gldo, GldoConfig, penalty="squared_norm")
    assert build(Gldo, GldoConfig, penalty="squared_norm", eps=7).eps == 7


def test_the_mixed_penalty_is_the_gradient_at_a_mixture_of_two_codes_and_images():
    method, A, z, x = build(Gldo, GldoConfig, mix=True), doubles(64, 6), doubles(7, 6, index=1), doubles(7, 64, index=2)
    method.G = nn.Linear(6, 64, bias=False, dtype=torch.float64)
    method.G.weight.data.copy_(A)
    method.generator = generator(0, "step", 0)
    found = method._between(z, x)
    same = generator(0, "step", 0)
    partner, t = torch.randperm(7, generator=same), torch.rand(7, generator=same)[:, None].double()
    between, image = t * z + (1 - t) * z[partner], t * x + (1 - t) * x[partner]
    torch.testing.assert_close(found, 2 * (between @ A.T - image) @ A / 64, rtol=1e-5, atol=1e-6)


def test_mixing_changes_the_generators_step_and_not_the_codes(train):
    plain, mixed = (train(build(Gldo, GldoConfig, eps=5.0, mix=mix), batches(1)) for mix in (False, True))
    assert torch.equal(plain.Z.codes, mixed.Z.codes)
    assert not torch.equal(plain.G[0].weight, mixed.G[0].weight)
