import numpy as np
import pytest
import torch

from latent_ot.methods.pggan import Pggan, PgganConfig, schedule
from latent_ot.stage import Spec


def build(steps=20, **settings):
    torch.manual_seed(0)
    config = PgganConfig.build({"batch_size": 4, "latent_dim": 5, "channels": 4, **settings}, "pggan")
    return Pggan(config, Spec((1, 16, 16), 40, steps * config.batch_size))


def watch(method):
    """Return the list of what every update sees: name, gradients, weights before it."""
    seen, update = [], method.update

    def look(name, optimizer):
        gradients = {k: None if p.grad is None else p.grad.clone() for k, p in method.named_parameters()}
        seen.append((name, gradients, {k: p.detach().clone() for k, p in method.named_parameters()}))
        update(name, optimizer)

    method.update = look
    return seen


def test_the_schedule_rests_fades_and_rests_for_5_percent_each():
    at = {0: 0, 0.04: 0, 0.075: 0.5, 0.09: 0.8, 0.12: 1, 0.16: 1.2, 0.22: 2, 0.275: 2.5, 0.31: 3, 0.8: 3, 1: 3}
    for progress, detail in at.items():
        assert schedule(progress, 4, 0.05) == pytest.approx(detail)


@pytest.mark.parametrize(("levels", "phase"), [(2, 0.05), (4, 0.05), (7, 0.05), (7, 0.2), (4, 1.0)])
def test_the_schedule_is_continuous_rises_and_leaves_30_percent_to_the_full_size(levels, phase):
    details = np.array([schedule(t / 10**4, levels, phase) for t in range(10**4 + 1)])
    slope = 1 / min(phase, 0.7 / (2 * (levels - 1)))
    assert details[0] == 0
    assert (np.diff(details) >= 0).all()
    assert np.diff(details).max() == pytest.approx(slope / 10**4)
    assert details[7001:].tolist() == [levels - 1] * 3000
    for level in range(levels):
        assert (details == level).mean() >= 0.99 / slope  # each size also has time of its own


def test_drift_is_the_mean_square_score_of_real_images(train, blobs):
    """Without it all else is the same, so the critic's gradients differ by the drift's."""
    without, method, (batch,) = build(drift=0), build(drift=0.5), blobs(1, 4)
    low = torch.nn.functional.avg_pool2d(2 * batch.image - 1, 4)  # the first step is at 4 pixels
    low = (low + torch.linspace(-1, 1, 4).view(4, 1, 1, 1)) / 2  # so that scores differ
    image = torch.nn.functional.interpolate((low + 1) / 2, 16)
    method.f.blocks[0][-1].bias.data.fill_(2.0)
    without.load_state_dict(method.state_dict())
    names, parameters = zip(*((k, p) for k, p in method.f.named_parameters()), strict=True)
    expected = torch.autograd.grad(0.5 * method.f(low, 0.0).square().mean(), parameters, allow_unused=True)
    gradients = []
    for one in (method, without):
        seen = watch(one)
        train(one, [batch._replace(image=image)])
        gradients.append(seen[0][1])
    for name, gradient in zip(names, expected, strict=True):
        if gradient is not None:
            with_, without_ = (found[f"f.{name}"] for found in gradients)
            torch.testing.assert_close(with_ - without_, gradient, atol=1e-5, rtol=1e-4)


def test_levels_not_reached_yet_keep_every_bit(train, blobs):
    method = build(steps=20, phase=0.25)  # shortened to 0.175: a rest of 3.5 steps, a fade to step 7, and so on
    start = {k: p.detach().clone() for k, p in method.named_parameters()}
    for steps, reached in ((4, 0), (3, 1)):
        train(method, blobs(steps, 4))
        assert method.detail <= reached
        for name, p in method.named_parameters():
            level = int(name.replace("average.module", "G").split(".")[2])
            if level > reached:
                assert torch.equal(p, start[name])
            elif name.endswith("original") and level == reached:
                assert not torch.equal(p, start[name]), name
    optimizer = method.trainer.optimizers[0]
    assert set(optimizer.state) == {p for p in method.G.parameters() if p.grad is not None}
    assert len(optimizer.state) < len(list(method.G.parameters()))


def test_the_average_follows_its_recursion_with_a_memory_that_is_a_share_of_the_run(train, blobs):
    method = build(steps=1500, ema=0.99)
    decay, expected = 0.99 ** (187_500 / 1500), None
    weights = []
    method.after_step = lambda: weights.append(method.G.blocks[0][2].bias.detach().clone())
    train(method, blobs(4, 4))
    for now in weights:
        expected = now if expected is None else decay * expected + (1 - decay) * now
    torch.testing.assert_close(method.average.module.blocks[0][2].bias, expected)
    assert not torch.equal(expected, weights[-1])


def test_decoded_images_come_from_the_average_at_full_size_before_it_is_reached():
    method, z = build().eval(), torch.randn(6, 5)
    with torch.no_grad():
        for p in method.G.parameters():
            p.zero_()
        method.detail.fill_(0.5)
        x = method.decode(z)
        raw = method.average.module(z, 0.5)
    assert x.shape == (6, 1, 16, 16)
    torch.testing.assert_close(x, ((raw + 1) / 2).clamp(0, 1).repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert x.std() > 0.01
