import pytest
import torch
from hybrids import build, images, moved, parameters, vae_loss
from torch.nn.functional import softplus

from latent_ot.methods import vaegan
from latent_ot.methods.vaegan import learners


@pytest.mark.parametrize(("fakes", "sources"), [("reconstructions", "q"), ("prior", "p"), ("both", "qp")])
def test_what_the_discriminator_is_shown(fakes, sources, train):
    method, seen = build("vaegan", fakes=fakes, n_critic=1), []
    batch = images(method)
    real = 2 * batch[0].image[:4] - 1
    with torch.no_grad():
        mean, log_std = method.E(real).chunk(2, dim=1)
        made = {"q": method.G(mean + log_std.exp() * method.noise(4, 5)), "p": method.G(method.noise(4, 5))}
    method.D[0].register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().clone()))
    train(method, batch)
    torch.testing.assert_close(seen[1], torch.cat([made[source] for source in sources]))


@pytest.mark.parametrize("fakes", ["reconstructions", "prior", "both"])
def test_gamma_weighs_the_reconstruction_of_the_generator_and_leaves_the_encoder_alone(fakes, train):
    steps = {}
    for gamma in (1e-6, 1.0, 3.0):
        method = build("vaegan", [1e-3, 1e-3, 0.0], gamma=gamma, fakes=fakes)
        before, batch = parameters(method), images(method)
        nll, _ = vae_loss(method, 2 * batch[0].image[-4:] - 1)
        slope = torch.cat([g.flatten() for g in torch.autograd.grad(nll, list(method.G.parameters()))])
        train(method, batch)
        steps[gamma] = moved(method, before, "E"), moved(method, before, "G")
    torch.testing.assert_close(steps[3.0][1] - steps[1.0][1], -2e-3 * slope)
    torch.testing.assert_close(steps[1.0][1] - steps[1e-6][1], -1e-3 * slope, atol=1e-8, rtol=1e-4)
    assert torch.equal(steps[1.0][0], steps[1e-6][0])


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        (0.68, 0.68, (True, True)),
        (0.34, 1.02, (True, True)),  # both within 0.35 of 0.68
        (0.32, 0.68, (False, True)),
        (0.68, 0.32, (False, True)),
        (1.04, 0.68, (True, False)),
        (0.68, 1.04, (True, False)),
        (0.32, 1.04, (True, True)),  # where both would rest, neither does
    ],
)
def test_the_balance_rule(real, fake, expected):
    def logits(cost, sign):
        return torch.full((3, 1), sign).double() * torch.tensor(cost).double().expm1().log()

    assert softplus(-logits(real, -1)).mean().item() == pytest.approx(real)
    assert softplus(logits(fake, 1)).mean().item() == pytest.approx(fake)
    assert learners(logits(real, -1), logits(fake, 1)) == expected


@pytest.mark.parametrize(("d_learns", "g_learns"), [(True, False), (False, True)])
def test_who_rests_does_not_move_and_is_not_counted(d_learns, g_learns, train, monkeypatch):
    monkeypatch.setattr(vaegan, "learners", lambda real, fake: (d_learns, g_learns))
    method = build("vaegan", balance=True, n_critic=1)
    before = parameters(method)
    train(method, images(method, 2))
    counts = {"encoder": 2, **({"discriminator": 2} if d_learns else {}), **({"generator": 2} if g_learns else {})}
    assert method.updates == counts
    assert bool(moved(method, before, "D").any()) == d_learns
    assert bool(moved(method, before, "G").any()) == g_learns
    assert moved(method, before, "E").any()


def test_without_balance_nobody_rests(train, monkeypatch):
    monkeypatch.setattr(vaegan, "learners", lambda real, fake: (False, False))
    method = build("vaegan")
    train(method, images(method))
    assert method.updates == {"encoder": 1, "generator": 1, "discriminator": 3}


def test_the_original_settings_in_its_docstring_are_settings():
    text = vaegan.__doc__
    values = dict(part.split()[0].removeprefix("vaegan.").split("=") for part in text.split("--set ")[1:])
    assert values["network"] == "vaegan"
    config = vaegan.VaeganConfig.build(values, "vaegan")
    assert (config.balance, config.gamma, config.n_critic) == (True, 1e-6, 1)
