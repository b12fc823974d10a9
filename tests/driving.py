"""How tests drive a stage: seeded codes, training by the trainer or by its hooks, an interrupted training."""

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from latent_ot.bench.train import Stopped, Watch, train
from latent_ot.methods.ae import Ae, AeConfig
from latent_ot.methods.base import Pair
from latent_ot.ranks import ALONE
from latent_ot.samplers.sdot import Sdot, SdotConfig
from latent_ot.seeding import generator
from latent_ot.stage import Batch, Spec


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=seeded(seed))


def count(module):
    """How many parameters a module has, or one that is made without memory for them."""
    if not isinstance(module, nn.Module):
        with torch.device("meta"):
            module = module()
    return sum(p.numel() for p in module.parameters())


def assert_slopes(value, tensors, step=1e-6, rel=1e-5, abs=1e-9, directions=3):
    """The gradient of ``value()`` in each tensor is, along random directions, the central difference; return them."""
    gradients = torch.autograd.grad(value(), tensors, allow_unused=True)
    for number, (tensor, gradient) in enumerate(zip(tensors, gradients, strict=True)):
        for seed in range(directions):
            direction = torch.randn(tensor.shape, generator=seeded(97 * number + seed), dtype=tensor.dtype)
            start, ends = tensor.detach().clone(), []
            for way in (step, -step):
                tensor.data = start + way * direction
                ends.append(value().item())
            tensor.data = start
            found = 0.0 if gradient is None else float((gradient * direction).sum())
            assert found == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=rel, abs=abs)
    return gradients


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
    """Return a list that training fills: each optimizer step's name and the networks whose parameters it moved.

    The gradients of the other networks must be those of their own last step: no loss leaves any in a network beside.
    """
    log, update, left = [], method.update, {}

    def watched(name, optimizer):
        before = {key: value.clone() for key, value in method.named_parameters()}
        gradients = {key: value.grad for key, value in method.named_parameters() if value.grad is not None}
        update(name, optimizer)
        moved = {key for key, value in method.named_parameters() if not torch.equal(value, before[key])}
        log.append((name, {key.split(".")[0] for key in moved}))
        for key, gradient in gradients.items():
            if key.split(".")[0] not in log[-1][1]:
                assert torch.equal(gradient, left[key]), key
            left[key] = gradient.clone()

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


def run(stage, examples, folder, stop=lambda: False, rank=ALONE):
    """Train as the runner does, in a folder; return the result."""
    folder.mkdir(exist_ok=True)
    return train(stage, examples, folder, Watch(lambda **values: None, stop, 1e9), torch.device("cpu"), rank)


def assert_interruption_changes_nothing(make, examples, folder, after):
    """Train ``make()`` whole, and again with a stop after so many steps; both must end in the same bytes and facts."""
    asked, whole, half, resumed = [], make(), make(), make()
    first = run(whole, examples, folder / "whole")
    with pytest.raises(Stopped):
        run(half, examples, folder / "halves", lambda: asked.append(1) or len(asked) == after)
    second = run(resumed, examples, folder / "halves")
    assert half.step == after
    for key in ("images_seen", "updates", "curve", "facts"):
        assert second[key] == first[key], key
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (folder / "halves" / name).read_bytes() == (folder / "whole" / name).read_bytes()
