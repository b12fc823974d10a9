"""What every method keeps, and what those of one kind share."""

import itertools

import pytest
import torch
from driving import assert_interruption_changes_nothing, fit, record_updates, solved_pair
from torch import nn
from torch.nn.utils import parametrize

from latent_ot.catalog import Catalog
from latent_ot.errors import Declined, InputError
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec

OTHERS = {"pca", "glo", "gldo", "points", "ae_ot_gan"}  # a code table, no steps, no images, or parts to start from
STAGES = {name: Catalog().stage("methods", name) for name in Catalog().files["methods"]}
METHODS = [name for name, stage in STAGES.items() if not {name, stage.refines} & {*OTHERS, "ae_ot_sd"}]
REPRESENTATIONS = [name for name in METHODS if STAGES[name].role == "representation"]
GANS = [name for name in METHODS if "encode" in STAGES[name].declines]
CODED = [name for name in METHODS if name not in {*REPRESENTATIONS, *GANS}]
BUILT = [name for name, stage in STAGES.items() if not stage.refines and name != "points"]


def build(name, shape=(1, 16, 16), images=10**4, width=0.05, **settings):
    torch.manual_seed(0)
    stage = STAGES[name]
    small = {"batch_size": 8, "latent_dim": 5, "long_n_critic": 5}
    small = {key: value for key, value in small.items() if key in stage.Config.model_fields}
    settings = {**stage.defaults(shape, settings), **small, **settings}
    return stage(stage.Config.build(settings, name), Spec(shape, 100, images, width))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 32, 32)])
def test_decoded_codes_are_images_of_the_data_shape_in_range(name, shape):
    method = build(name, shape).eval()
    with torch.no_grad():
        x = method.decode(3 * torch.randn(4, method.latent_dim))
    assert x.shape == (4, *shape)
    assert x.dtype == torch.float32
    assert x.min() >= 0
    assert x.max() <= 1


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_a_representation_codes_images_alike_in_any_company_and_samples_only_with_a_sampler(name, train, blobs):
    method = train(build(name), blobs(2, 8)).eval()
    x = torch.rand(6, 1, 16, 16)
    with torch.no_grad():
        z = method.encode(x)
        assert z.shape == (6, method.latent_dim)
        torch.testing.assert_close(method.encode(x[2:3]), z[2:3])
        torch.testing.assert_close(method.reconstruct(x, z, 0), method.decode(z))
    with pytest.raises(Declined, match="latent sampler"):
        method.sample(2, generator(0, "test"))


@pytest.mark.parametrize("name", GANS)
def test_a_gan_samples_from_its_prior_and_reconstructs_by_search(name):
    method = build(name).eval()
    for layer in method.modules():  # untrained weights of the usual size decode every code alike
        if isinstance(layer, nn.Linear | nn.ConvTranspose2d) and not parametrize.is_parametrized(layer):
            nn.init.normal_(layer.weight, 0, 0.3)
    with torch.no_grad():
        x = method.sample(3, generator(0, "test"))
        assert torch.equal(x, method.sample(3, generator(0, "test")))
        start = method.sample_latent(3, generator(0, "start"))
        before = (method.decode(start) - x).square().mean()
        after = (method.reconstruct(x, start, 60) - x).square().mean()
    assert x.shape == (3, 1, 16, 16)
    assert after < 0.7 * before
    with pytest.raises(Declined, match="no encoder"):
        method.encode(x)


@pytest.mark.parametrize("name", CODED)
def test_a_method_with_an_encoder_samples_from_its_prior_and_reconstructs_without_a_search(name):
    method = build(name).eval()
    x = torch.rand(3, 1, 16, 16)
    with torch.no_grad():
        assert method.sample(2, generator(0, "test")).shape == (2, 1, 16, 16)
        z = method.encode(x)
        assert z.shape == (3, method.latent_dim)
        torch.testing.assert_close(method.encode(x[1:2]), z[1:2])
        torch.testing.assert_close(method.reconstruct(x, z, 0), method.decode(z))


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.one_quick
def test_a_method_names_the_steps_that_move_what_makes_its_images_and_only_those(name, train, blobs):
    method, called, moved = build(name, images=400), set(), set()
    if method.closed_form:
        assert method.makes_images == ()
        return
    update = method.update

    def watched(step, optimizer):
        makers = {k: v for k, v in method.named_parameters() if k.split(".")[0] in ("G", "decoder")}
        before = {key: value.clone() for key, value in makers.items()}
        update(step, optimizer)
        called.add(step)
        moved.update(step for key, value in makers.items() if not torch.equal(value, before[key]))

    method.update = watched
    train(method, blobs(3, method.rows_per_step))
    assert moved
    assert moved == called & {*method.makes_images}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.one_quick
def test_training_never_looks_at_the_index(name, train, blobs):
    rows = build(name).rows_per_step
    batches = blobs(2, rows)
    shuffled = [Batch(b.index.flip(0) + 7, b.image) for b in batches]
    one, other = train(build(name), batches), train(build(name), shuffled)
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


@pytest.mark.parametrize("name", [name for name in BUILT if "points" not in STAGES[name].accepts])
def test_points_are_declined_with_a_reason(name):
    with pytest.raises(Declined, match=rf"{name} needs images"):
        build(name, shape=(2,))


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.one_quick
def test_state_dict_is_all_there_is_to_store(name, train, blobs):
    method, copy = build(name), build(name)
    x = torch.cat([batch.image for batch in blobs(1, 100)])
    if method.closed_form:
        method.fit(x)
    else:
        train(method, [Batch(torch.arange(method.rows_per_step), x[: method.rows_per_step])] * 2)
    copy.load_state_dict(method.state_dict())
    z = torch.randn(3, method.latent_dim)
    with torch.no_grad():
        assert torch.equal(copy.eval().decode(z), method.eval().decode(z))
        if name in REPRESENTATIONS + CODED:
            assert torch.equal(copy.encode(x), method.encode(x))
        elif name not in GANS:
            assert torch.equal(copy.codes(x), method.codes(x))
    assert copy.facts() == method.facts()


@pytest.mark.parametrize(
    ("name", "n", "settings"),
    [
        *(("gan", 1, {"network": network}) for network in ("mlp", "infogan", "dcgan")),
        ("dcgan", 1, {}),
        ("wgan", 2, {"n_critic": 2, "long_n_critic": 2}),
        *(("wgan_gp", n, {"n_critic": n}) for n in (1, 5)),
        ("ctgan", 5, {}),
        ("began", 1, {"filters": 4}),
        ("sngan", 1, {"network": "sngan"}),
        ("sngan", 5, {"network": "sngan_resnet"}),
        ("pggan", 1, {"channels": 4}),
        *(("wgan_div", 4, {"network": network}) for network in ("infogan", "dcgan", "wgan_div_resnet")),
        *(("wgan_qc", 1, {"network": network}) for network in ("wgan_qc", "infogan")),
        *(("gan_kl", n, {"n_critic": n}) for n in (1, 3)),
    ],
)
@pytest.mark.one_quick
def test_n_critic_steps_to_a_generator_step_and_each_moves_only_its_own_network(name, n, settings, train, blobs):
    method = build(name, batch_size=4, **settings)
    assert method.rows_per_step == 4 * n
    net = "D" if hasattr(method, "D") else "f"
    critic = "discriminator" if net == "D" and name != "wgan_qc" else "critic"
    moves, before = record_updates(method), {k: v.clone() for k, v in method.named_parameters()}
    train(method, blobs(2, 4 * n))
    assert moves == ([(critic, {net})] * n + [("generator", {"G"})]) * 2
    assert method.updates == {critic: 2 * n, "generator": 2}
    assert method.images_seen == 8 * n
    assert all(p.requires_grad for k, p in method.named_parameters() if not k.startswith("average."))
    if name in {"dcgan", "wgan_gp"}:  # of which every parameter moves, but that f's last bias cancels
        assert {k for k, v in method.named_parameters() if torch.equal(v, before[k])} <= {"f.9.bias"}


@pytest.mark.parametrize(
    ("name", "n", "looks", "settings"),
    [
        *(("gan", 1, 2, {"network": network}) for network in ("mlp", "infogan", "dcgan")),
        ("dcgan", 1, 2, {}),
        ("wgan", 3, 2, {"n_critic": 3, "long_n_critic": 3}),
        ("wgan_gp", 3, 3, {"n_critic": 3}),
        *(("sngan", 3, 2, {"network": network, "n_dis": 3}) for network in ("sngan", "sngan_resnet")),
        *(("wgan_div", 4, 3, {"network": network}) for network in ("infogan", "dcgan", "wgan_div_resnet")),
        *(("gan_kl", n, 2, {"n_critic": n}) for n in (1, 3)),
    ],
)
def test_every_critic_step_sees_images_of_its_own_and_fresh_ones_in_the_networks_range(
    name, n, looks, settings, train, blobs
):
    """``looks``: of the critic in a step: real, generated and, for a penalty, between."""
    method, (batch,), seen = build(name, batch_size=4, **settings), blobs(1, 4 * n), []
    batch.image.uniform_()
    batch.image.view(-1)[:2] = torch.tensor([0.0, 1.0])
    critic = method.D if hasattr(method, "D") else method.f
    next(iter(critic)).register_forward_pre_hook(lambda module, args: seen.append(args[0].detach().clone()))
    train(method, [batch])
    assert len(seen) == looks * n + 1
    low = method.data_range[0]
    assert torch.equal(torch.cat(seen[: looks * n : looks]), method.to_network(batch.image))
    fake = [*seen[1 : looks * n : looks], seen[-1]]
    assert all(low <= x.min() < x.max() <= 1 for x in fake)
    assert not any(torch.equal(a[:4], b[:4]) for a, b in itertools.combinations(fake, 2))  # fresh noise each time


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *(("wgan_gp", {"critic_norm": norm}) for norm in ("none", "layer")),
        *(("wgan_div", {"network": network}) for network in ("infogan", "dcgan", "wgan_div_resnet")),
    ],
)
def test_a_penalised_critic_scores_each_image_alone(name, settings):
    method, x = build(name, **settings), torch.rand(6, 1, 16, 16)
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in method.f.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in method.G.modules())
    with torch.no_grad():
        torch.testing.assert_close(method.f(x)[2:3], method.f(x[2:3]))


@pytest.mark.parametrize(("name", "rows"), [("gan", 8), ("dcgan", 16)])
def test_the_discriminator_learns_to_tell_when_the_generator_stands_still(name, rows, train, blobs):
    method = build(name, batch_size=rows, width=0.1)
    method.configure_optimizers = lambda: [
        torch.optim.SGD(method.G.parameters(), lr=0.0),
        torch.optim.Adam(method.D.parameters(), lr=2e-3),
    ]
    train(method, blobs(60, rows))
    assert method.observed["discriminator"] < 0.7  # 2 log 2 = 1.39 for one that knows nothing


@pytest.mark.parametrize(
    ("name", "images", "after", "settings"),
    [
        *(("sngan", 32, 2, {"network": net, "n_dis": 2, "generator_batch": 4}) for net in ("sngan", "sngan_resnet")),
        ("pggan", 56, 5, {"channels": 4, "phase": 0.15}),  # amid the growth
        ("wgan", 48, 3, {"n_critic": 2, "long_first": 2, "long_every": 4, "long_n_critic": 5}),  # among long phases
    ],
)
@pytest.mark.one_quick
def test_an_interruption_changes_nothing(name, images, after, settings, tmp_path):
    x = torch.rand(100, 1, 16, 16)
    assert_interruption_changes_nothing(
        lambda: build(name, images=images, batch_size=4, **settings), x, tmp_path, after
    )


@pytest.mark.parametrize(
    ("name", "shape", "chosen", "expected"),
    [
        ("ae", (1, 32, 32), {}, {"network": "infogan"}),
        ("ae", (1, 32, 32), {"network": "sngan"}, {"network": "sngan", "init_std": None}),
        ("ctgan", (3, 32, 32), {}, {}),
        ("ctgan", (3, 32, 32), {"network": "sngan_resnet"}, {"dropout": (0.2, 0.5, 0.5)}),
        ("pggan", (3, 32, 32), {}, {"channels": 128, "latent_dim": 128}),
        ("pggan", (3, 64, 64), {}, {}),
        ("wgan_div", (1, 32, 32), {}, {"network": "infogan"}),
        ("wgan_qc", (3, 64, 64), {}, {}),
        ("wgan_qc", (3, 256, 256), {}, {"batch_size": 16, "gamma": 0.05}),
    ],
)
def test_settings_follow_the_data_and_the_networks(name, shape, chosen, expected):
    assert STAGES[name].defaults(shape, chosen) == expected


@pytest.mark.parametrize(
    ("name", "key"),
    [(n, k) for n in METHODS for k in ("batch_size", "lr", "latent_dim") if k in STAGES[n].Config.model_fields],
)
def test_impossible_settings_are_one_line(name, key):
    with pytest.raises(InputError, match=key):
        build(name, **{key: -1})


WRONG = {
    "ae": {"network": "mlp", "beta1": 1.0, "halve_every": 0, "init_std": 0, "squash": "maybe"},
    "began": {"gamma": 1.5, "k_rate": -1, "filters": 0, "lr": 0},
    "ctgan": {"dropout": [0.5, 0.5], "dropout.2": [0.5, 0.5, 1], "network": "toy"},
    "gan": {"network": "sngan"},
    "gan_kl": {"n_critic": 0, "sigma": 1.0, "network": "sdk"},
    "gldo": {"eps": -1, "penalty": "l1", "eps.": "much"},
    "iwgan": {"batch_size": 1, "gap_every": 0, "stop": "never", "gap_tol": 0, "network": "resnet"},
    "pggan": {"batch_size": 6, "phase": 0, "ema": 1, "channels": 0, "drift": -1},
    "rae_gp": {"batch_size": 1, "latent_dim": 0, "lr": 0, "code_weight": -1, "gp_weight": -1, "gp_mode": "jacobian"},
    "sdkl": {"n_critic": 0, "sigma": 0.0, "orthogonal": -1, "network": "infogan", "lr_d": 0},
    "sngan": dict.fromkeys(["n_dis", "generator_batch", "beta1", "beta2", "network"], -1),
    "vaegan": {"gamma": 0, "fakes": "reconstruction", "balance": 2},
    "wgan": dict.fromkeys(["clip", "n_critic", "long_n_critic", "long_first", "long_every"], -1),
    "wgan_div": {"network": "resnet", "p": 1, "penalty": 1},
    "wgan_qc": {"network": "dcgan", "ema": 1.5, "K": 0, "n_critic": 5},
}


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, wrong in WRONG.items() for key in wrong])
def test_values_that_make_no_sense_are_one_line(name, key):
    setting = key.partition(".")[0]
    with pytest.raises(InputError, match=f"{name}: setting '{setting}") as error:
        STAGES[name].Config.build({setting: WRONG[name][key]}, name)
    assert "\n" not in str(error.value)
    assert key.endswith(".") or f"'{key}" in str(error.value)


ADVERSARIES = ["gan", "dcgan", "wgan", "wgan_gp", "began", "sngan", "pggan", "ctgan", "wgan_div", "wgan_qc"]
HYBRIDS = ["iwgan", "ae_ot_gan", "vaegan", "gan_kl", "vae_adv_perc", "sdkl", "sdkl_ns"]
LARGE = ("pggan", "wgan_div", "wgan_qc", "ae_ot_gan")
CASES = [(name, size) for size in (32, 64) for name in ADVERSARIES + HYBRIDS] + [(name, 256) for name in LARGE]
NETWORK = {"ae_ot_gan": "wgan_qc"}  # at 256 pixels, where InfoGAN's first layer would hold half a billion weights


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), CASES)
def test_two_steps_are_finite_and_samples_have_the_data_shape(name, size):
    torch.manual_seed(0)
    shape, stage = (3, size, size), STAGES[name]
    network = {"network": NETWORK[name]} if size == 256 and name in NETWORK else {}
    chosen = {"batch_size": 4 if size == 256 and name != "ae_ot_gan" else 8, **network}
    config = stage.Config.build({**stage.defaults(shape, chosen), **chosen}, name)
    images = torch.rand(16, *shape)
    base = (solved_pair(images, width=0.05, latent_dim=8, **network),) if stage.refines else ()
    method = stage(config, Spec(shape, 16, 10**4, width=0.05), *base)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    index = torch.arange(method.rows_per_step) % 16
    fit(method, [Batch(index, images[index])] * 2)
    assert method.observed
    assert all(torch.as_tensor(value).isfinite().all() for value in method.observed.values())
    assert all(value.isfinite().all() for value in method.state_dict().values() if value.is_floating_point())
    assert any(not torch.equal(value, before[key]) for key, value in method.state_dict().items())
    with torch.no_grad():
        x = method.eval().sample(2, generator(0, "test"))
    assert x.shape == (2, *shape)
    assert 0 <= x.min() <= x.max() <= 1


ADVERSARIES = [name for name, stage in STAGES.items() if stage.adversary]


def test_every_method_that_two_networks_contest_names_its_adversary_and_no_other_does():
    assert {*ADVERSARIES} == {*GANS, *CODED, "ae_ot_gan"} - {"glo", "gldo"}
    with pytest.raises(Declined, match="no adversary"):
        build("vae").scores(torch.rand(2, 1, 16, 16))


@pytest.mark.parametrize("name", [name for name in ADVERSARIES if name != "ae_ot_gan"])
@pytest.mark.one_quick
def test_an_adversary_scores_each_image_and_takes_real_ones_for_more_real(name, train, blobs):
    """The sign of a score is that of the loss: the adversary's own step parts a fixed pair of batches further.

    Its penalties are off, which may ask for the opposite, and its generator stands still.
    """
    off = dict.fromkeys(("penalty", "k", "consistency", "drift", "orthogonal"), 0.0)
    method = build(name, **{key: value for key, value in off.items() if key in STAGES[name].Config.model_fields})
    (batch,) = blobs(1, method.rows_per_step)
    real, fake = batch.image[:8], method.eval().decode(method.sample_latent(8, generator(0, "fake"))).detach()

    def gap():
        method.eval().generator = generator(0, "noise")  # of SDKL's likelihood
        with torch.no_grad():
            real_scores, fake_scores = method.judge(real, fake)
        assert real_scores.shape == fake_scores.shape == (8,)
        return float(real_scores.mean() - fake_scores.mean())

    before, update = gap(), method.update
    method.update = lambda network, optimizer: network in ("critic", "discriminator") and update(network, optimizer)
    train(method.train(), [batch] * 4)
    assert gap() > before
