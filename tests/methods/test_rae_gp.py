import pytest
import torch
from driving import assert_slopes, seeded
from torch import nn

from latent_ot.methods.ae import Ae, AeConfig
from latent_ot.methods.rae_gp import RaeGp, RaeGpConfig, defaults, jacobian_penalty, squared_output_penalty
from latent_ot.stage import Batch, Spec

MODES = ["jacobian_hutchinson", "squared_output"]


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def build(shape=(1, 16, 16), **settings):
    torch.manual_seed(0)
    return RaeGp(RaeGpConfig(**{"batch_size": 16, **settings}), Spec(shape, 100, 10**4, width=0.1))


@pytest.fixture
def decoder():
    """A smooth nonlinear decoder of 3 code entries to 8 outputs, in double precision."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 8), nn.Sigmoid()).double()


def test_over_a_basis_of_v_the_estimate_is_the_frobenius_norm_of_a_linear_decoder():
    A, z = draw(7, 3), draw(4, 3, seed=1).requires_grad_()
    for basis in (torch.eye(7).double(), torch.linalg.qr(draw(7, 7, seed=2)).Q):
        total = sum(jacobian_penalty(z @ A.T, z, v.expand(4, 7)) for v in basis)
        torch.testing.assert_close(total, A.square().sum().expand(4))


@pytest.mark.parametrize("kind", ["signs", "normal"])
def test_over_random_v_the_estimate_has_the_frobenius_norm_as_its_mean(kind):
    A, z = draw(7, 3), torch.zeros(40_000, 3).double().requires_grad_()
    v = draw(40_000, 7, seed=1)
    estimates = jacobian_penalty(z @ A.T, z, v.sign() if kind == "signs" else v)
    error = 4 * estimates.std() / 200
    assert estimates.mean().item() == pytest.approx(A.square().sum().item(), abs=error.item())
    assert error < 0.1 * A.square().sum()


def test_the_method_estimates_the_frobenius_norm_with_signs_of_its_own():
    method, A = build(gp_mode="jacobian_hutchinson"), draw(16, 3)
    z = torch.zeros(20_000, 3).double().requires_grad_()
    image = (z @ A.T).view(-1, 1, 4, 4)
    assert method.penalty(image, z).item() == pytest.approx(A.square().sum().item(), rel=0.02)
    # random signs are exact where the Jacobian's columns share no output
    one = torch.zeros(5, 3).double().requires_grad_()
    diagonal = torch.tensor([1.0, 2.0, 3.0]).double()
    assert method.penalty(one * diagonal, one).item() == pytest.approx(14)


def test_the_squared_output_penalty_has_a_closed_form_for_a_linear_decoder():
    A, z = draw(7, 3), draw(4, 3, seed=1).requires_grad_()
    expected = (2 * z @ A.T @ A).square().mean(dim=1)
    torch.testing.assert_close(squared_output_penalty(z @ A.T, z), expected)
    method = build(gp_mode="squared_output")
    torch.testing.assert_close(method.penalty((z @ A.T).view(4, 1, 1, 7), z), expected.mean())


def test_the_jacobian_penalty_of_each_code_is_its_own(decoder):
    z, v = draw(4, 3, seed=1).requires_grad_(), draw(4, 8, seed=2)
    together = jacobian_penalty(decoder(z), z, v)
    for i, row in enumerate(z.detach()):
        jacobian = torch.autograd.functional.jacobian(decoder, row)
        torch.testing.assert_close(together[i], (jacobian.T @ v[i]).square().sum())


@pytest.mark.parametrize("mode", MODES)
def test_parameter_and_code_gradients_equal_finite_differences(decoder, mode):
    z, v = draw(4, 3, seed=1).requires_grad_(), draw(4, 8, seed=2)

    def penalty():
        image = decoder(z)
        return (jacobian_penalty(image, z, v) if mode == MODES[0] else squared_output_penalty(image, z)).mean()

    gradients = assert_slopes(penalty, [*decoder.parameters(), z], step=1e-5, abs=1e-8)
    assert gradients[0].abs().max() > 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_without_weights_a_step_is_the_plain_autoencoders(mode, train, blobs):
    batches = blobs(3, 16)
    rae = build(code_weight=0, gp_weight=0, lr=1e-3, init_std=0.02, latent_dim=5, gp_mode=mode)
    torch.manual_seed(0)
    plain = Ae(AeConfig(batch_size=16, lr=1e-3, init_std=0.02, latent_dim=5), rae.spec)
    plain.load_state_dict({k: v for k, v in rae.state_dict().items() if k != "share"}, strict=True)
    rae.penalty = None  # and costs no penalty
    train(rae, batches)
    train(plain, batches)
    for name, value in plain.state_dict().items():
        assert torch.equal(rae.state_dict()[name], value), name
    assert rae.facts() == {"gp_weight": 0, "gp_share": 0}


def test_on_colour_the_error_is_summed_over_channels_as_in_the_release(train):
    x = torch.rand(16, 3, 16, 16, generator=seeded(3))
    method = build((3, 16, 16), code_weight=0.3, gp_weight=0, latent_dim=5)
    z = method.encoder(x)
    per_pixel = (method.decoder(z) - x).square().sum(dim=1)
    expected = per_pixel.mean().item() + 0.3 * z.square().mean(dim=1).mean().item()
    method = train(build((3, 16, 16), code_weight=0.3, gp_weight=0, latent_dim=5), [Batch(torch.arange(16), x)])
    assert method.observed["loss"].item() == pytest.approx(expected, rel=1e-5)
    assert method.observed["error"].item() == pytest.approx(per_pixel.mean().item(), rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_the_loss_is_the_sum_of_its_three_terms(mode, train, blobs):
    (batch,) = blobs(1, 16)
    method = build(code_weight=0.3, gp_weight=0.02, gp_mode=mode)
    z = method.encoder(batch.image)
    image = method.decoder(z)
    method.on_train_batch_start(batch, 0)
    penalty = method.penalty(image, z).item()
    expected = (image - batch.image).square().mean().item() + 0.3 * z.square().mean().item() + 0.02 * penalty
    method = train(build(code_weight=0.3, gp_weight=0.02, gp_mode=mode), [batch])
    assert method.observed["loss"].item() == pytest.approx(expected, rel=1e-5)
    assert method.facts()["gp_share"] == pytest.approx(0.02 * penalty / expected, rel=1e-4)
    assert method.facts()["gp_share"] > 0.005


@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_of_the_penalty_reaches_the_encoder(mode, train, blobs):
    def after(weight):
        return train(build(code_weight=0, gp_weight=weight, gp_mode=mode), blobs(1, 16)).encoder[0].weight

    assert not torch.equal(after(0), after(10.0))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.one_quick
def test_a_large_weight_makes_the_decoder_smooth(mode, train, blobs):
    def slope(weight):
        method = train(build(gp_weight=weight, lr=2e-3, latent_dim=4, gp_mode=mode), blobs(40, 16)).eval()
        z = method.encode(blobs(1, 16)[0].image).detach()
        jacobians = [torch.autograd.functional.jacobian(lambda x: method.decode(x[None])[0], row) for row in z[:4]]
        return sum(j.square().sum() for j in jacobians).item() * z.var().item()  # whatever the scale of the codes

    assert slope(1.0) < 0.5 * slope(0.0)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 28, 28), (16, 5e-4, 1e-4, 0.5e-7)),
        ((1, 64, 64), (16, 5e-4, 1e-4, 0.5e-7)),
        ((3, 32, 32), (128, 5e-4, 9e-4, 0)),
        ((3, 64, 64), (64, 1e-3, 1e-4, 1e-7)),
    ],
)
def test_code_length_rate_and_weights_are_the_releases_for_the_kind_of_data(shape, expected):
    assert tuple(defaults(shape)) == expected
    method = build(shape)
    assert method.latent_dim == expected[0]
    assert tuple(method.settings) == expected
    chosen = build(shape, latent_dim=7, lr=0.1, code_weight=0, gp_weight=3)
    assert tuple(chosen.settings) == (7, 0.1, 0, 3)
    assert method.default_sampler == "gmm"
    assert chosen.configure_optimizers().param_groups[0]["lr"] == 0.1
