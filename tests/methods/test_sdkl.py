"""SDKL, and what it shares with SDKL without sampling, the VAE with an adversarial perceptual loss and VAE/GAN."""

import pytest
import torch
from hybrids import build, images, moved, parameters, vae_loss
from torch.nn.functional import softplus

ENCODERS = ["vae_adv_perc", "sdkl", "sdkl_ns", "vaegan"]
NETWORKS = ["E", "G", "D"]


def gradient(loss, network):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)])


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("n", [1, 3])
def test_n_discriminator_steps_to_one_of_encoder_and_generator_on_images_of_their_own(name, n, train):
    method = build(name, n_critic=n)
    assert method.rows_per_step == 4 * (n + 1)
    assert [len(o.param_groups[0]["params"]) for o in method.configure_optimizers()] == [
        len(list(net.parameters())) for net in (method.E, method.G, method.D)
    ]
    batches, seen = images(method, 2), []
    method.D[0].register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().clone()))
    train(method, batches)
    assert method.updates == {"discriminator": 2 * n, "encoder": 2, "generator": 2}
    assert method.images_seen == 2 * 4 * (n + 1)
    real = [*seen[0 : 2 * n : 2], seen[2 * n]]  # real and generated of each discriminator step, then E's and G's images
    assert torch.equal(torch.cat(real), 2 * batches[0].image - 1)
    assert all(p.requires_grad for p in method.parameters())
    assert {"discriminator", "kl", "reconstruction"} <= set(method.observed)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("which", range(3))
def test_each_step_moves_its_own_network_only(name, which, train):
    method = build(name, [0.1 * (which == k) for k in range(3)], n_critic=1)
    before = parameters(method)
    train(method, images(method))
    for k, network in enumerate(NETWORKS):
        assert moved(method, before, network).any() == (which == k), network


@pytest.mark.parametrize("name", ENCODERS)
def test_the_encoder_descends_the_vae_loss_alone(name, train):
    """No adversarial term reaches it, whatever the generator and the discriminator do."""
    method = build(name, [1e-3, 0.0, 0.0], sigma=0.5)
    before, batch = parameters(method), images(method)[0]
    nll, kl = vae_loss(method, 2 * batch.image[-4:] - 1)
    expected = -1e-3 * gradient(nll + kl, method.E)
    train(method, [batch])
    torch.testing.assert_close(moved(method, before, "E"), expected)
    torch.testing.assert_close(method.observed["kl"], kl.detach())


def adversarial_term(name, method, z):
    """What the generator's loss has beside the reconstruction, written out from D's logits."""
    if name == "vae_adv_perc":
        return torch.zeros((), dtype=torch.float64)
    if name == "vaegan":
        return softplus(-method.D(method.G(z))).mean()
    features = method.D.features(method.G(method.noise(4, 5)))
    noise = method.noise(4, features[0].numel()).view_as(features)
    return -method.D.score(features + (method.config.sigma * noise if name == "sdkl" else 0)).mean()


@pytest.mark.parametrize("name", ENCODERS)
def test_the_generator_descends_the_reconstruction_and_its_methods_adversarial_term(name, train):
    method = build(name, [0.0, 1e-3, 0.0], sigma=0.5)
    before, batch = parameters(method), images(method)[0]
    x = 2 * batch.image[-4:] - 1
    mean, log_std = method.E(x).chunk(2, dim=1)
    z = (mean + log_std.exp() * method.noise(4, 5)).detach()
    nll, _ = vae_loss(method, x)
    expected = -1e-3 * gradient(nll + adversarial_term(name, method, z), method.G)
    train(method, [batch])
    torch.testing.assert_close(moved(method, before, "G"), expected)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_discriminator_descends_its_own_loss_and_no_perceptual_term(name, train):
    method = build(name, [0.0, 0.0, 1e-3], n_critic=1, orthogonal=0)
    before, batch = parameters(method), images(method)[0]
    real = 2 * batch.image[:4] - 1
    mean, log_std = method.E(real).chunk(2, dim=1)
    z = method.noise(4, 5) if name != "vaegan" else mean + log_std.exp() * method.noise(4, 5)
    features = method.D.features(method.G(z))
    if name == "sdkl":
        features = features + method.noise(4, features[0].numel()).view_as(features)
    loss = softplus(-method.D(real)).mean() + softplus(method.D.score(features)).mean()
    expected = gradient(loss, method.D)
    train(method, [batch])
    torch.testing.assert_close(moved(method, before, "D"), -1e-3 * expected)
    torch.testing.assert_close(torch.cat([p.grad.flatten() for p in method.D.parameters()]), expected)
    torch.testing.assert_close(method.observed["discriminator"], loss.detach())


@pytest.mark.parametrize("name", ENCODERS)
def test_noise_enters_the_second_layer_of_generated_images_in_sdkl_alone(name, train):
    method, made, used = build(name, sigma=0.7, n_critic=2), [], []
    method.D[2].register_forward_hook(lambda module, args, output: made.append(output.detach().clone()))
    method.D[3].register_forward_pre_hook(lambda module, args: used.append((args[0].detach().clone(), made[-1])))
    train(method, images(method))
    shifts = [given - output for given, output in used]
    assert len(shifts) == 2 * 2 + (name != "vae_adv_perc")  # real and generated twice, then the generator's
    noisy = {1, 3, 4} if name == "sdkl" else set()
    for position, shift in enumerate(shifts):
        assert bool(shift.any()) == (position in noisy), position
        if position in noisy:
            torch.testing.assert_close(shift, 0.7 * method.noise(4, shift[0].numel()).view_as(shift))


def test_the_orthogonal_regularisation_pulls_on_the_discriminator(train):
    weak, strong = (build("sdkl", [0.0, 0.0, 1e-4], n_critic=1, orthogonal=w) for w in (0.0, 1.0))
    for method in (weak, strong):
        train(method, images(method))
    rows = [list(m.D)[6].weight.detach().flatten(1) for m in (weak, strong)]
    errors = [(w @ w.T - torch.eye(len(w), dtype=torch.float64)).abs().sum() for w in rows]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("name", ENCODERS)
def test_it_encodes_posterior_means_and_reconstructs_without_a_search(name):
    method = build(name).eval()
    x = torch.rand(3, 1, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        z = method.encode(x)
        assert torch.equal(z, method.E(2 * x - 1)[:, :5])
        assert torch.equal(method.reconstruct(x, torch.full((3, 5), torch.nan), 9), (method.G(z) + 1) / 2)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_record_holds_the_last_discriminator_loss_and_the_nats_of_a_code(name, train):
    method = build(name)
    train(method, images(method))
    facts, seen = method.facts(), method.observed
    assert facts == pytest.approx({"discriminator_nats": seen["discriminator"].item(), "kl_nats": seen["kl"].item()})


@pytest.mark.parametrize("name", ENCODERS)
def test_it_runs_on_the_networks_of_vaegan(name, train):
    method = build(name, network="vaegan")
    before = parameters(method)
    train(method, images(method))
    assert all(moved(method, before, network).any() for network in NETWORKS)
