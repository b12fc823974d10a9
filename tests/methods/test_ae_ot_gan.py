import pytest
import torch
from driving import solved_pair
from torch.nn.functional import mse_loss

from latent_ot.bench.plan import Facts, Planner
from latent_ot.budgets import budget
from latent_ot.catalog import Catalog
from latent_ot.methods import ae_ot_gan
from latent_ot.methods.ae_ot_gan import AeOtGan, AeOtGanConfig
from latent_ot.seeding import generator
from latent_ot.stage import Spec

SPEC = Spec((1, 16, 16), 40, 10**4, width=0.1)


@pytest.fixture(scope="module")
def images():
    return torch.rand(40, 1, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def pair(images):
    return solved_pair(images, latent_dim=4, init_std=0.2)


def build(pair, **settings):
    torch.manual_seed(0)
    return AeOtGan(AeOtGanConfig(**{"batch_size": 8, **settings}), SPEC, pair)


def test_before_its_first_step_it_is_the_pair_that_it_refines_bit_for_bit(pair, images):
    method = build(pair).eval()
    with torch.no_grad():
        assert torch.equal(method.sample(20, generator(0, "s")), pair.sample(20, generator(0, "s")))
        assert torch.equal(method.encode(images), pair.encode(images))
        assert torch.equal(method.reconstruct(images, images, 0), pair.reconstruct(images, images, 0))


def test_encoder_and_transport_never_change_and_the_generator_and_discriminator_do(pair, train, blobs):
    method = build(pair)
    before = {k: v.clone() for k, v in method.state_dict().items()}
    train(method, blobs(2, 8))
    for key, value in method.state_dict().items():
        same = torch.equal(value, before[key])
        part = key.split(".")[0]
        if part in ("f", "transport", "mean_length"):
            assert same, key
        elif key.endswith(("weight", "running_mean")):
            assert not same, key


@pytest.mark.parametrize("steps", [1, 3])
def test_t_generator_steps_to_a_discriminator_step_and_rates_r_apart(steps, pair, train, blobs):
    method = build(pair, T=steps, R=15)
    train(method, blobs(2, 8))
    assert method.updates == {"discriminator": 2, "generator": 2 * steps}
    assert method.images_seen == 16
    g, d = method.configure_optimizers()
    assert g.param_groups[0]["lr"] == pytest.approx(15 * d.param_groups[0]["lr"])


def test_a_quarter_of_each_fake_batch_is_reconstructed_in_one_forward_and_the_rest_drawn_afresh(pair, train, blobs):
    method = build(pair, T=2)
    batch = blobs(1, 8)
    batch[0].image.copy_(torch.rand(8, 1, 16, 16))
    seen = []
    method.g.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().clone()))
    train(method, batch)
    x = batch[0].image
    with torch.no_grad():
        codes = [pair.encode(x[:2]), pair.encode(x[:2]), pair.encode(x[2:4])]
    assert [len(z) for z in seen] == [8, 8, 8]
    for z, expected in zip(seen, codes, strict=True):
        torch.testing.assert_close(z[:2], expected)
    drawn = torch.cat([z[2:] for z in seen])
    assert len(drawn.unique(dim=0)) == 18  # no w serves twice


def test_the_generator_descends_the_sum_that_the_paper_prints(pair, train, blobs):
    method = build(pair, T=1, saturating=True)
    caught = []
    backward = method.manual_backward
    method.manual_backward = lambda loss: (caught.append(loss.detach()), backward(loss))
    fakes, scores = [], []
    method.g.register_forward_hook(lambda module, args, out: fakes.append(out.detach().clone()))
    method.d.register_forward_hook(lambda module, args, out: scores.append(out.detach().clone()))
    batch = blobs(1, 8)
    train(method, batch)
    x, rebuilt = batch[0].image[:2], fakes[1][:2]
    with torch.no_grad():
        a, b = method.features(x), method.features(rebuilt)
    length = pair.latent.targets.norm(dim=1).mean()
    features = 0.06 * sum(mse_loss(p, q) for p, q in zip(a[:-1], b[:-1], strict=True))
    features = features + 2.0 / length * mse_loss(a[-1], b[-1])
    adversarial = torch.log1p(-torch.sigmoid(scores[2])).mean()
    torch.testing.assert_close(caught[1], adversarial + features + 2000 * mse_loss(rebuilt, x))
    assert len(a) == 4  # after three activations, and the code
    torch.testing.assert_close(a[-1], pair.encode(x))


@pytest.mark.slow
def test_with_the_adversary_off_and_images_heavy_the_reconstruction_error_falls(pair, train, blobs):
    method = build(pair, beta=1e6, lr=1e-3, T=4)
    batches = blobs(1, 8) * 12
    errors = []
    for _ in range(2):
        with torch.no_grad():
            method.eval()
            errors.append(mse_loss(method.reconstruct(batches[0].image, batches[0].image, 0), batches[0].image))
        method.train()
        train(method, batches)
    assert errors[1] < errors[0]


def test_schedule_follows_the_data():
    stage = Catalog().stage("methods", "ae_ot_gan")
    found = {shape: stage.defaults(shape, {}) for shape in ((1, 32, 32), (3, 32, 32), (3, 64, 64))}
    assert [(v["R"], v["T"]) for v in found.values()] == [(15, 3), (25, 10), (15, 5)]


def test_the_control_is_its_training_without_the_adversarial_term_and_nothing_else(pair, train, blobs, monkeypatch):
    plain, control = train(build(pair), blobs(3, 8)), train(build(pair, adversarial=0), blobs(3, 8))
    term = ae_ot_gan.gan_generator
    monkeypatch.setattr(ae_ot_gan, "gan_generator", lambda *given: 0 * term(*given))
    without = train(build(pair), blobs(3, 8)).state_dict()
    assert all(torch.equal(value, without[key]) for key, value in control.state_dict().items())
    assert not torch.equal(next(plain.g.parameters()), next(control.g.parameters()))
    assert (plain.updates, plain.images_seen) == (control.updates, control.images_seen)
    assert (plain.adversary, control.adversary) == ("d", None)


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("data", "network", "owner"),
    [
        ((3, 32, 32), "sngan", "sngan"),
        ((3, 32, 32), "sngan_resnet", "sngan"),
        ((3, 64, 64), "dcgan", "wgan_div"),
        ((3, 64, 64), "wgan_div_resnet", "wgan_div"),
    ],
)
def test_its_discriminator_is_that_of_the_method_whose_networks_section_4_takes(data, network, owner):
    facts = Facts("cifar10" if data[1] == 32 else "celeba64", "0" * 12, data, 64, 10, {})

    def built(method, *parts):
        overrides = {part: {"network": network} for part in parts}
        plan = Planner(Catalog(), facts, budget("smoke", facts.id, 64), lambda: None, overrides)
        return [stage for _, stage in plan.built(plan.training(method, 0))][-1]

    theirs = built(owner, owner)
    assert repr(built("ae_ot_gan", "ae", "ae_ot_gan").d) == repr(getattr(theirs, theirs.adversary))
