import pytest
import torch
from sklearn.decomposition import PCA
from torch.nn import functional as F

from latent_ot.errors import Declined, InputError
from latent_ot.losses.backbones import backbone
from latent_ot.losses.laplacian import lap1
from latent_ot.losses.perceptual import perceptual
from latent_ot.methods._codes import adam_travel
from latent_ot.methods.glo import Glo, GloConfig, decay
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec


def glo(n=24, images=10**4, size=16, width=0.1, **settings):
    torch.manual_seed(0)
    settings = {"batch_size": 8, "latent_dim": 6, **settings}
    return Glo(GloConfig.build(settings, "glo"), Spec((1, size, size), n, images, width))


def squares(n=24, size=16):
    """Images (n, 1, size, size), each a bright square of its own place."""
    x = torch.zeros(n, 1, size, size)
    for i, (a, b) in enumerate(torch.randint(1, size - 6, (n, 2), generator=generator(0, "test")).tolist()):
        x[i, 0, a : a + 5, b : b + 5] = 1
    return x


def batches(steps, x, rows=8):
    indices = (torch.randperm(len(x), generator=generator(0, "test", t))[:rows] for t in range(steps))
    return [Batch(i, x[i]) for i in indices]


def test_codes_are_on_the_sphere_before_and_after_every_step(train):
    method = glo()
    method.after_step = lambda: torch.testing.assert_close(
        method.Z.codes.norm(dim=1), torch.ones(24), atol=1e-5, rtol=0
    )
    method.after_step()
    train(method, batches(5, squares()))
    assert method.updates == {"generator": 5}


def test_a_row_of_no_batch_stays_at_its_start_and_one_that_was_met_goes_on_moving(train):
    method = glo(projection="none")
    start, seen = method.first_codes(), []
    method.after_step = lambda: seen.append(method.Z.codes.detach().clone())
    first, second = batches(1, squares()[:10])[0], Batch(torch.arange(8, 16), squares()[8:16])
    train(method, [first, second])
    never = sorted({*range(24)} - {*first.index.tolist(), *range(8, 16)})
    assert torch.equal(method.Z.codes[never], start[never])
    left = sorted({*first.index.tolist()} - {*range(8, 16)})
    assert (seen[1][left] != seen[0][left]).any(dim=1).all()


def test_permuting_the_images_permutes_the_codes(train):
    x, order = squares(), torch.randperm(24, generator=generator(1, "test"))
    one = train(glo(), plain := batches(12, x))
    other = glo()
    other.Z.codes.data.copy_(other.first_codes()[order])
    train(other, [Batch(order.argsort()[b.index], b.image) for b in plain])
    assert torch.equal(other.Z.codes, one.Z.codes[order])
    assert torch.equal(other.decode(other.Z.codes), other.decode(one.Z.codes[order]))


@pytest.mark.slow
def test_few_images_are_learned_by_heart(train):
    x = squares(64)
    method = glo(64, latent_dim=16, batch_size=64, lr=1e-2, lr_z=0.03, halve_every=300)
    train(method, batches(400, x, rows=64)).eval()
    with torch.no_grad():
        assert F.mse_loss(method.decode(method.codes(x)), x) < 1e-3


def test_an_unseen_image_is_reconstructed_by_search_on_the_sphere(train):
    x = squares(64)
    method = train(glo(64, batch_size=32, lr=3e-3), batches(60, x[:60], rows=32)).eval()
    start = method.project(torch.randn(4, 6))
    before = (method.decode(start) - x[60:]).square().mean()
    assert (method.reconstruct(x[60:], start, 60) - x[60:]).square().mean() < 0.8 * before


def test_the_step_size_of_codes_is_the_printed_one_unless_a_way_is_asked_for():
    assert glo().lr_z == 0.003
    assert glo(optim="sgd", lr_z=10).lr_z == 10
    assert glo().facts()["lr_z_rule"] == "lr_z"
    assert glo(travel=2.0).facts()["lr_z_rule"] == "travel"


def test_a_way_is_asked_for_of_adam_alone():
    with pytest.raises(InputError, match="travel"):
        glo(optim="sgd", travel=1.0)


@pytest.mark.parametrize("projection", ["sphere", "none"])
def test_the_way_asked_for_is_in_lengths_of_the_start(projection):
    method = glo(travel=0.7, projection=projection, latent_dim=25)
    way = adam_travel(method.spec.epochs, 3, (0.5, 0.999), lambda epoch: 1.0)
    length = method.first_codes().square().mean().sqrt().item()
    assert method.lr_z * way == pytest.approx(0.7 * length)
    assert method.facts()["code_travel_predicted"] == pytest.approx(0.7)


def test_facts_say_how_far_codes_went_and_how_often_rows_were_visited(train):
    method = train(glo(images=24 * 4, latent_dim=20, travel=0.5, projection="none"), batches(12, squares()))
    facts, start = method.facts(), method.first_codes()
    assert facts["visits_per_row"] == 4
    way = (method.codes(squares()) - start).square().mean().sqrt() / start.square().mean().sqrt()
    assert facts["code_travel"] == pytest.approx(way.item())
    assert method.lr_z / facts["lr_z"] == 1


def rates(method, steps, train):
    """Return both step sizes at each step, and whether Adam's states were fresh in it."""
    seen = []
    first = next(iter(method.G.parameters()))

    def look():
        of_generator, of_codes = method.trainer.optimizers
        state = of_codes.state[method.Z.codes]["step"], of_generator.state[first]["step"]
        seen.append((of_generator.param_groups[0]["lr"], of_codes.param_groups[0]["lr"], *map(int, state)))

    method.after_step = look
    train(method, batches(steps, squares()))
    return seen


def test_step_sizes_do_not_decay_unless_asked(train):
    assert {row[:2] for row in rates(glo(), 7, train)} == {(1e-3, 3e-3)}
    assert decay(GloConfig(), 10**4) == 1


def test_both_step_sizes_are_halved_and_optimizers_made_anew(train):
    seen = rates(glo(halve_every=2, new_optimizers=True), 14, train)  # of 3 steps an epoch
    assert [row[0] for row in seen] == [1e-3] * 6 + [5e-4] * 6 + [2.5e-4] * 2
    assert [row[1] for row in seen] == [3e-3] * 6 + [1.5e-3] * 6 + [7.5e-4] * 2
    assert [row[2:] for row in seen] == [(k, k) for k in (1, 2, 3) * 4 + (1, 2)]


def test_gradient_descent_moves_codes_by_the_gradient_of_the_mean_loss(train):
    method, (batch,) = glo(optim="sgd", lr_z=2.0, projection="none"), batches(1, squares())
    before, z = method.Z.codes.detach().clone(), method.Z(batch.index)
    method.image_losses(method.G(z), batch.image).mean().backward()
    train(method, [batch])
    torch.testing.assert_close(method.Z.codes[batch.index], before[batch.index] - 2.0 * z.grad)


def test_the_ball_holds_what_is_inside_and_projects_what_is_outside():
    z = torch.tensor([[0.3, 0.4], [3.0, 4.0]])
    torch.testing.assert_close(glo(projection="ball").project(z), torch.tensor([[0.3, 0.4], [0.6, 0.8]]))


@pytest.mark.parametrize("loss", ["l2", "lap1"])
def test_training_lowers_either_loss(train, loss):
    method, seen = glo(loss=loss, lr=3e-3), []
    method.after_step = lambda: seen.append(float(method.observed["loss"]))
    train(method, batches(60, squares()))
    assert sum(seen[-5:]) < 0.7 * sum(seen[:5])


def test_facts_say_where_training_ended(train):
    method, seen = glo(), []
    method.after_step = lambda: seen.append(float(method.observed["loss"]))
    train(method, batches(30, squares()))
    running = seen[0]
    for loss in seen[1:]:
        running += 0.05 * (loss - running)
    assert method.facts()["train_mse"] == pytest.approx(running, rel=1e-4)


def test_what_it_cannot_do_it_declines(train):
    with pytest.raises(Declined, match="no encoder"):
        glo().encode(squares())
    with pytest.raises(Declined, match="latent sampler"):
        glo().sample(2, generator(0, "test"))
    with pytest.raises(InputError, match="nearest: projection"):
        glo(projektion="sphere")


def only_the_generator_moves(train, x, **settings):
    """Return a GLO after one plain descent step, in which a weight moves by its gradient, and codes by theirs."""
    return train(glo(optim="sgd", lr=0.1, lr_z=0.1, projection="none", **settings), batches(1, x))


def test_weight_decay_adds_twice_its_factor_times_the_weights_to_the_gradient(train):
    x = squares()
    plain, decayed = only_the_generator_moves(train, x), only_the_generator_moves(train, x, weight_decay=0.5)
    nets = (method.G.parameters() for method in (glo(), plain, decayed))
    for before, a, b in zip(*nets, strict=True):
        torch.testing.assert_close(b, a - 0.1 * 2 * 0.5 * before)
    assert torch.equal(plain.Z.codes, decayed.Z.codes)


def test_the_one_norm_of_codes_moves_codes_alone_and_by_their_signs(train):
    x = squares()
    plain, sparse = only_the_generator_moves(train, x), only_the_generator_moves(train, x, code_l1=0.3)
    for a, b in zip(plain.G.parameters(), sparse.G.parameters(), strict=True):
        assert torch.equal(a, b)
    index = batches(1, x)[0].index
    start = glo(projection="none").first_codes()
    moved = plain.Z.codes[index] - sparse.Z.codes[index]
    torch.testing.assert_close(moved, 0.1 * 0.3 * start[index].sign() / 8, rtol=1e-3, atol=1e-6)


def test_spectral_normalisation_is_of_the_transposed_convolutions_and_ends_at_a_singular_value_of_one():
    method = glo(spectral=True, init_std=0.3).train()
    for _ in range(50):
        method.G(torch.randn(8, 6))
    method.eval()
    layers = [m for m in method.G.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert len(layers) == 2
    for layer in layers:
        matrix = layer.weight.detach().transpose(0, 1).flatten(1)  # (out, in k k): a map to the output channels
        assert torch.linalg.svdvals(matrix)[0].item() == pytest.approx(1, abs=1e-2)
    assert not any(hasattr(m, "parametrizations") for m in method.G.modules() if isinstance(m, torch.nn.Linear))


def test_codes_can_start_at_the_principal_components():
    x = squares(60)
    method = glo(60, start="pca", projection="none")
    method.prepare(lambda: (255 * x).to(torch.uint8))
    scores = torch.from_numpy(PCA(6, svd_solver="full").fit_transform(x.flatten(1).double().numpy())).float()
    signs = (method.Z.codes.detach() * scores).sum(dim=0).sign()
    torch.testing.assert_close(
        method.Z.codes.detach(), signs * scores / scores.square().mean().sqrt(), atol=1e-3, rtol=1e-3
    )
    assert "code_travel" not in method.facts()


@pytest.mark.parametrize("loss", ["lap1+l2", "perceptual+l2"])
def test_a_loss_of_two_terms_is_their_sum(loss):
    x, y = torch.rand(2, 3, 1, 32, 32)
    one, both = loss.split("+")[0], glo(size=32, loss=loss, backbone="digits").image_losses(x, y)
    first = lap1(x, y) if one == "lap1" else perceptual(x, y, backbone("digits", 32, torch.device("cpu")))
    torch.testing.assert_close(both, first + (x - y).square().mean(dim=(1, 2, 3)))
