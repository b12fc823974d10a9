"""Training against a plain loop and against pythae: `OMP_NUM_THREADS=1 python benchmarks/speed/training.py`.

Ours is what a benchmark's worker runs: Lightning, deterministic kernels, progress, curves, snapshots and checkpoints at
the intervals of a budget of 128,000 images. The other one gets its turns inside that run: after so many of our steps it
does as many, from the same weights, on one thread. The first turns warm up; start and end of a training are not timed.
Rates and ratios are of all turns together, quartiles those of single turns, extra milliseconds the median turn's. Wall
time is what a user waits; other work on the machine distorts it, but hardly CPU time, which is given beside it.

- GLO against the same generator, Adam and code table in a plain loop that holds float images and keeps no record. Goals
  at full width: at least 0.95 of its images a second, at most 0.4 ms more a step. The narrow generator is there for the
  milliseconds alone, which its short step does not drown in noise.
- VAE and WAE-MMD against pythae's trainer, on pythae's networks: the perceptrons that it takes when it is given none,
  and its convolutional ones for MNIST. What pythae's losses lack is switched off in ours (learned gamma, input noise,
  pretraining, steps of the rate). Goals: at least 1.3 (VAE) and 1.8 times (WAE-MMD) as fast. The larger the networks,
  the less there is to gain around them.
"""

import copy
import importlib.util
import itertools
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Generator
from importlib.metadata import version
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from timing import alone, write
from torch import Tensor, nn
from torch.nn import functional as F

from latent_ot.bench.train import Stopped, Watch, as_tensor, build, train
from latent_ot.bench.worker import Line, Order
from latent_ot.datasets.images import resize
from latent_ot.datasets.mnist5k import originals
from latent_ot.methods.glo import Glo, GloConfig
from latent_ot.methods.vae import Vae, VaeConfig
from latent_ot.methods.wae_mmd import WaeMmd, WaeMmdConfig
from latent_ot.stage import Spec, Stage, as_float

BUDGET = 128_000  # images, of which a case draws the first few
BATCH = 64
LATENT_DIM = 16  # of VAE and WAE-MMD
Networks = Literal["perceptrons", "convolutions"]
Rivals = tuple[Stage, np.ndarray, Generator[None, None, None]]
"""A stage of ours, its images (N, H, W, 1), and the other loop: what one ``next`` of it does is one turn."""


def digits(count: int, side: int) -> np.ndarray:
    """Return MNIST digits, uint8 (count, side, side, 1)."""
    images = originals()[0][:count]
    return (images if side == images.shape[1] else resize(images, side)).reshape(count, side, side, 1)


def glo(steps: int, width: float) -> Rivals:
    """Return GLO and a plain loop over its generator and codes."""
    images = digits(4000, 32)
    config = GloConfig(batch_size=BATCH)
    stage = build(Glo, config, Spec((1, 32, 32), len(images), BUDGET, width))
    generator, codes = copy.deepcopy((stage.G, stage.Z))
    betas = (config.beta1, 0.999)
    optimizer = torch.optim.Adam(generator.parameters(), lr=config.lr, betas=betas, fused=True)
    of_codes = torch.optim.Adam([codes.codes], lr=stage.lr_z, betas=betas, fused=True)
    x = as_float(as_tensor(images))

    def loop() -> Generator[None, None, None]:
        for step in itertools.count(1):
            if step % (len(x) // BATCH) == 1:
                order = iter(torch.randperm(len(x)).split(BATCH))
            rows = next(order)
            z = codes(rows)
            loss = F.mse_loss(generator(z), x[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            codes.move(rows, z.grad, of_codes, stage.project)
            if step % steps == 0:
                yield

    return stage, images, loop()


class Encode(nn.Module):
    """pythae's encoder as ours: codes (n, d), or means and log standard deviations side by side (n, 2 d)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """Return them for images (n, 1, 28, 28)."""
        found = self.encoder(x)
        if "log_covariance" not in found:
            return found["embedding"]
        return torch.cat([found["embedding"], found["log_covariance"] / 2], dim=1)


class Decode(nn.Module):
    """pythae's decoder as ours."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, z: Tensor) -> Tensor:
        """Return images (n, 1, 28, 28) of codes (n, d)."""
        return self.decoder(z)["reconstruction"]


def networks(kind: Networks, config: Any) -> dict[str, nn.Module]:
    """Return pythae's encoder and decoder for a model's configuration; none are its perceptrons."""
    from pythae.models import VAEConfig
    from pythae.models.nn.benchmarks import mnist

    if kind == "perceptrons":
        return {}
    encoder = mnist.Encoder_Conv_VAE_MNIST if isinstance(config, VAEConfig) else mnist.Encoder_Conv_AE_MNIST
    return {"encoder": encoder(config), "decoder": mnist.Decoder_Conv_AE_MNIST(config)}


def vae(steps: int, kind: Networks) -> Rivals:
    """Return our VAE and pythae's."""
    from pythae.models import VAE, VAEConfig

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT_DIM)
    theirs = VAE(config, **networks(kind, config))
    return against_pythae(steps, Vae, VaeConfig(batch_size=BATCH, latent_dim=LATENT_DIM, gamma=1.0), theirs)


def wae_mmd(steps: int, kind: Networks) -> Rivals:
    """Return our WAE-MMD and pythae's."""
    from pythae.models import WAE_MMD, WAE_MMD_Config

    config = WAE_MMD_Config(input_dim=(1, 28, 28), latent_dim=LATENT_DIM)
    theirs = WAE_MMD(config, **networks(kind, config))
    own = WaeMmdConfig(batch_size=BATCH, latent_dim=LATENT_DIM, schedule="constant", input_noise=0.0, pretrain=0.0)
    return against_pythae(steps, WaeMmd, own, theirs)


def against_pythae(steps: int, method: type[Stage], config: Any, model: Any) -> Rivals:
    """Return our method on copies of a pythae model's networks, and that model under its trainer, an epoch a turn.

    What pythae does between epochs, a copy of the best model, is left out.
    """
    from pythae.data.preprocessors import DataProcessor
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    images = digits(steps * BATCH, 28)
    stage = build(method, config, Spec((1, 28, 28), len(images), BUDGET))
    stage.encoder, stage.decoder = Encode(copy.deepcopy(model.encoder)), Decode(copy.deepcopy(model.decoder))

    def loop() -> Generator[None, None, None]:
        processor = DataProcessor()
        data = processor.to_dataset(processor.process_data(as_float(as_tensor(images))))
        with tempfile.TemporaryDirectory() as folder:
            settings = BaseTrainerConfig(
                output_dir=folder, per_device_train_batch_size=BATCH, learning_rate=config.lr, no_cuda=True
            )
            trainer = BaseTrainer(model, data, training_config=settings)
            trainer.prepare_training()
            for epoch in itertools.count(1):
                trainer.train_step(epoch)
                yield

    return stage, images, loop()


class Turns:
    """The command that our training reports to; between two of our turns it lets the other loop take one."""

    def __init__(self, other: Generator[None, None, None], steps: int, turns: int) -> None:
        self.other, self.steps, self.turns = other, steps, turns
        self.end, pipe = Pipe(duplex=False)
        self.line = Line(pipe)
        self.begin: np.ndarray | None = None
        self.ours: list[np.ndarray] = []
        self.theirs: list[np.ndarray] = []

    def report(self, **values: Any) -> None:
        """Pass progress on as a worker does; this is the last thing that happens in a step."""
        self.line.report(**values)
        if "done" not in values or values["done"] % (self.steps * BATCH):
            return
        middle = now()
        torch.use_deterministic_algorithms(False)
        next(self.other)
        torch.use_deterministic_algorithms(True, warn_only=True)
        if self.begin is not None:  # the first turn of either is for warming up
            self.ours.append(middle - self.begin)
            self.theirs.append(now() - middle)
        while self.end.poll():
            self.end.recv()
        self.begin = now()

    def should_stop(self) -> bool:
        """Whether all turns have been taken."""
        return len(self.ours) == self.turns


def now() -> np.ndarray:
    """Return the wall clock and the CPU clock in seconds, (2,)."""
    return np.array([time.perf_counter(), time.process_time()])


def named(values: np.ndarray) -> dict[str, float]:
    """Return wall and CPU figures by name, to four digits."""
    return {name: float(f"{value:.4g}") for name, value in zip(("wall", "cpu"), values, strict=True)}


# name -> steps in a turn, turns, what makes the rivals, the package that is the other one
CASES: dict[str, tuple[int, int, Callable[[int], Rivals], str | None]] = {
    "glo": (10, 12, lambda steps: glo(steps, 1.0), None),
    "glo, width 1/16": (50, 8, lambda steps: glo(steps, 1 / 16), None),
    "vae, perceptrons": (64, 6, lambda steps: vae(steps, "perceptrons"), "pythae"),
    "wae_mmd, perceptrons": (64, 6, lambda steps: wae_mmd(steps, "perceptrons"), "pythae"),
    "vae, convolutions": (2, 3, lambda steps: vae(steps, "convolutions"), "pythae"),
    "wae_mmd, convolutions": (2, 3, lambda steps: wae_mmd(steps, "convolutions"), "pythae"),
}


def run(name: str) -> None:
    """Measure one case and print it as JSON."""
    for logger in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    steps, turns, make, package = CASES[name]
    stage, images, other = make(steps)
    clock = Turns(other, steps, turns)
    # Half of the time is the other one's, hence half as many checkpoints a second.
    watch = Watch(clock.report, clock.should_stop, 2 * Order.checkpoint_seconds)
    with tempfile.TemporaryDirectory() as folder:
        try:
            train(stage, images, Path(folder), watch, torch.device("cpu"))
        except Stopped:
            other.close()
    ours, theirs = np.array(clock.ours), np.array(clock.theirs)  # (turns, 2)
    rate = {who: named(turns * steps * BATCH / spent.sum(0)) for who, spent in (("ours", ours), ("other", theirs))}
    result = {
        "steps": turns * steps,
        "images_per_second": rate,
        "times_as_fast": named(theirs.sum(0) / ours.sum(0)),
        "times_as_fast_quartiles": [named(q) for q in np.quantile(theirs / ours, (0.25, 0.5, 0.75), axis=0)],
        "extra_ms_per_step": named(1000 * np.median(ours - theirs, axis=0) / steps),
        "other": f"{package} {version(package)}" if package else "plain loop",
    }
    print(json.dumps(result))


def main() -> None:
    """Measure all cases and write them."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for name, (*_, package) in CASES.items():
        missing = package is not None and importlib.util.find_spec(package) is None
        found[name] = None if missing else alone(__file__, name)
        if missing:
            print(f"{package} is not installed: {name} is left out", file=sys.stderr)
    write(__file__, {"cases": found})


if __name__ == "__main__":
    run(sys.argv[1]) if len(sys.argv) > 1 else main()
