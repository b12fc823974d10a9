"""How tests drive a stage: seeded codes, training by the trainer or by its hooks, an interrupted training."""

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from latent_ot.bench.train import Stopped, Watch
from latent_ot.bench.train import train as run_stage
from latent_ot.methods.ae import Ae, AeConfig
from latent_ot.methods.base import Pair
from latent_ot.samplers.sdot import Sdot, SdotConfig
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=seeded(seed))


def fit(stage, batches):
    """Train on an iterable of batches, one per outer step, with Lightning's trainer."""
    L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(stage, DataLoader(batches, batch_size=None))  # a bare list would be a list of loaders
    return stage


def record_updates(method):
    """Return a list that training fills: each optimizer step's name and the networks whose parameters it moved."""
    log, update = [], method.update

    def watched(name, optimizer):
        before = {key: value.clone() for key, value in method.named_parameters()}
        update(name, optimizer)
        moved = {key for key, value in method.named_parameters() if not torch.equal(value, before[key])}
        log.append((name, {key.split(".")[0] for key in moved}))

    method.update = watched
    return log


def fit_codes(sampler, codes, steps):
    """Fit a sampler that learns by steps, on random batches of codes (n, d)."""
    sampler.fit(codes)
    rows = torch.randint(len(codes), (steps, sampler.config.batch_size), generator=seeded(7))
    return fit(sampler, [Batch(index, codes[index]) for index in rows]).eval()


def step_codes(sampler, z, steps=None):
    """Call the hooks of training in the trainer's order, for so many steps or to the end."""
    adam = sampler.configure_optimizers() if not hasattr(sampler, "adam") else sampler.adam
    sampler.adam, sampler.optimizers, sampler.manual_backward = adam, lambda: adam, lambda loss: loss.backward()
    last = sampler.total_steps if steps is None else sampler.step + steps
    while sampler.step < last:
        rows = torch.randint(len(z), (sampler.config.batch_size,), generator=generator(0, "rows", sampler.step))
        batch = Batch(rows, z[rows])
        sampler.on_train_batch_start(batch, sampler.step)
        sampler.training_step(batch, sampler.step)
        sampler.on_train_batch_end(None, batch, sampler.step)
    if sampler.step == sampler.total_steps:
        sampler.on_train_end()
    return sampler.eval()


def assert_resuming_changes_nothing(make, codes, at=5):
    """Step ``make()`` on codes to its end, and again as two samplers of which the second takes the first's state."""
    whole, half, resumed = make(), make(), make()
    for sampler in (whole, half, resumed):
        sampler.fit(codes)
    step_codes(whole, codes)
    step_codes(half, codes, steps=at)
    resumed.load_state_dict(half.state_dict())
    resumed.restore(half.counters())
    resumed.adam = resumed.configure_optimizers()
    resumed.adam.load_state_dict(half.adam.state_dict())
    step_codes(resumed, codes)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def solve(sampler, steps=None):
    """Call the hooks of a solver's training, which looks at no batch, for so many steps or to its end."""
    while sampler.step < sampler.total_steps and not sampler.finished and steps != 0:
        batch = Batch(torch.zeros(1, dtype=torch.int64), torch.zeros(1, sampler.dim))
        sampler.on_train_batch_start(batch, sampler.step)
        sampler.training_step(batch, sampler.step)
        sampler.on_train_batch_end(None, batch, sampler.step)
        steps = None if steps is None else steps - 1
    if sampler.finished or sampler.step == sampler.total_steps:
        sampler.on_train_end()
    return sampler


def solved_pair(images, width=0.1, **settings):
    """Return an untrained autoencoder with the statistics of a few passes, and a solved transport to its codes."""
    torch.manual_seed(0)
    ae = Ae(AeConfig.build(settings, "ae"), Spec(tuple(images.shape[1:]), len(images), 10**4, width))
    with torch.no_grad():
        for _ in range(3):
            ae.decoder(ae.encoder(ae.to_network(images)))
        ae.eval()
        codes = ae.encode(images)
    sdot = Sdot(SdotConfig(tol=0.3), Spec(tuple(codes.shape[1:]), len(codes), 1000))
    sdot.fit(codes)
    return Pair(ae, solve(sdot).eval())


def assert_interruption_changes_nothing(make, codes, folder, after):
    """Train ``make()`` on codes whole, and again with a stop after so many steps; both must end in the same bytes."""
    asked, whole, half, resumed = [], make(), make(), make()
    for name in ("whole", "halves"):
        (folder / name).mkdir()

    def run(sampler, name, stop=lambda: False):
        run_stage(sampler, codes, folder / name, Watch(lambda **values: None, stop, 1e9), torch.device("cpu"))

    run(whole, "whole")
    with pytest.raises(Stopped):
        run(half, "halves", lambda: asked.append(1) or len(asked) == after)
    run(resumed, "halves")
    assert half.step == after
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
