import math

import pytest
import torch

from latent_ot.losses import adversarial as loss

UNSURE = torch.zeros(5, 1, dtype=torch.float64)  # logits of D = 1/2


def test_values_where_the_discriminator_knows_nothing():
    assert loss.gan_discriminator(UNSURE, UNSURE).item() == pytest.approx(2 * math.log(2))
    assert loss.gan_generator(UNSURE).item() == pytest.approx(math.log(2))
    assert loss.gan_generator(UNSURE, saturating=True).item() == pytest.approx(-math.log(2))


def test_losses_equal_their_definition_in_terms_of_the_probability():
    real, fake = torch.randn(2, 50, 1, dtype=torch.float64)
    d_real, d_fake = real.sigmoid(), fake.sigmoid()
    expected = -(d_real.log().mean() + (1 - d_fake).log().mean())
    torch.testing.assert_close(loss.gan_discriminator(real, fake), expected)
    torch.testing.assert_close(loss.gan_generator(fake), -d_fake.log().mean())
    torch.testing.assert_close(loss.gan_generator(fake, saturating=True), (1 - d_fake).log().mean())


def test_nothing_overflows_for_a_discriminator_that_is_certain():
    certain = torch.tensor([[1e4], [-1e4]])
    assert torch.isfinite(loss.gan_discriminator(certain, certain))
    assert torch.isfinite(loss.gan_generator(certain))


def test_where_the_discriminator_wins_only_the_saturating_gradient_vanishes():
    won = torch.full((4, 1), -20.0, dtype=torch.float64, requires_grad=True)
    (strong,) = torch.autograd.grad(loss.gan_generator(won), won)
    (weak,) = torch.autograd.grad(loss.gan_generator(won, saturating=True), won)
    torch.testing.assert_close(strong, torch.full_like(strong, -0.25))  # -1 each, averaged over four
    assert weak.abs().max() < 1e-8


def test_generator_gradients_at_a_known_logit():
    odds = torch.tensor([[3.0], [0.25]], dtype=torch.float64)  # D = 3/4 and 1/5
    logit = odds.log().requires_grad_()
    (gradient,) = torch.autograd.grad(loss.gan_generator(logit), logit)
    torch.testing.assert_close(gradient, torch.tensor([[-1 / 4], [-4 / 5]], dtype=torch.float64) / 2)
    (gradient,) = torch.autograd.grad(loss.gan_generator(logit, saturating=True), logit)
    torch.testing.assert_close(gradient, torch.tensor([[-3 / 4], [-1 / 5]], dtype=torch.float64) / 2)


def test_hinge_counts_what_lies_within_the_margin():
    real = torch.tensor([[2.0], [1.0], [0.5], [-1.0]])  # short of 1 by 0, 0, 0.5, 2
    fake = torch.tensor([[-3.0], [0.0]])  # over -1 by 0, 1
    assert loss.hinge_discriminator(real, fake).item() == pytest.approx(2.5 / 4 + 1 / 2)
    assert loss.hinge_discriminator(UNSURE, UNSURE).item() == 2


def test_hinge_pushes_only_scores_within_the_margin():
    real = torch.tensor([[2.0], [0.5]], requires_grad=True)
    fake = torch.tensor([[-3.0], [0.0]], requires_grad=True)
    up, down = torch.autograd.grad(loss.hinge_discriminator(real, fake), (real, fake))
    assert up.flatten().tolist() == [0, -0.5]
    assert down.flatten().tolist() == [0, 0.5]


@pytest.mark.parametrize("name", ["gan_generator", "wasserstein_generator"])
def test_generator_gradients_match_finite_differences(name):
    fake = torch.randn(6, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(getattr(loss, name), (fake,))


@pytest.mark.parametrize("name", ["gan_discriminator", "wasserstein_critic", "hinge_discriminator"])
def test_discriminator_gradients_match_finite_differences(name):
    real, fake = torch.randn(2, 6, 1, dtype=torch.float64)
    assert torch.autograd.gradcheck(getattr(loss, name), (real.requires_grad_(True), fake.requires_grad_(True)))


def test_the_critic_gains_what_the_generator_loses():
    real, fake = torch.randn(2, 6, 1)
    at_zero = loss.wasserstein_critic(torch.zeros(6, 1), fake)
    assert at_zero.item() == pytest.approx(-loss.wasserstein_generator(fake).item())
    assert loss.wasserstein_critic(real + 3, fake + 3).item() == pytest.approx(
        loss.wasserstein_critic(real, fake).item(), abs=1e-5
    )
