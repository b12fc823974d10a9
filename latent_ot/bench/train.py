"""Train one stage with Lightning: batches by index on the device, exact resume, snapshots, a stop at any whole step."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from latent_ot.datasets.order import batch_rows
from latent_ot.files import whole
from latent_ot.methods.base import Method
from latent_ot.samplers.base import LatentSampler
from latent_ot.seeding import derive
from latent_ot.stage import Batch, Spec, Stage, as_float

LOG_POINTS = 200  # values kept per curve, whatever the budget
SNAPSHOTS = {"image": (1 / 8, 1 / 4, 1 / 2), "points": tuple(k / 16 for k in range(1, 16))}
"""Shares of the budget at which weights are kept, for FID or, of points, for modes covered against images seen."""
RESIDENT_BYTES = 4 << 30  # larger sets stay in their memory-mapped file and are gathered there


class Diverged(Exception):
    """A loss or a parameter is no longer finite."""


class Stopped(Exception):
    """The user stopped the command; the checkpoint is written."""


@dataclass(frozen=True)
class Watch:
    """What the worker wants to hear and may ask while a stage trains."""

    report: Callable[..., None]
    should_stop: Callable[[], bool]
    checkpoint_seconds: float


class Rows:
    """Training rows by index: float32 batches in [0, 1] for images, as they are for points and codes."""

    def __init__(self, array: np.ndarray | Tensor, device: torch.device) -> None:
        resident = not isinstance(array, np.memmap) or array.nbytes <= RESIDENT_BYTES
        self.array = as_tensor(array).to(device) if resident else array
        self.device = device

    def __getitem__(self, index: np.ndarray) -> Batch:
        if isinstance(self.array, Tensor):
            rows = torch.from_numpy(index).to(self.device)
            return Batch(rows, as_float(self.array[rows]))
        return Batch(torch.from_numpy(index).to(self.device), as_float(as_tensor(self.array[index]).to(self.device)))


class Batches:
    """The batches of the steps still to do: batch t is a pure function of (seed, t)."""

    def __init__(self, rows: Rows, stage: Stage) -> None:
        self.rows, self.stage = rows, stage

    def __iter__(self) -> Iterator[Batch]:
        spec, size = self.stage.spec, self.stage.rows_per_step
        for step in range(self.stage.step, self.stage.total_steps):
            yield self.rows[batch_rows(spec.seed, spec.count, size, step)]


def as_tensor(array: np.ndarray | Tensor) -> Tensor:
    """Return images (N, H, W, C) as a tensor (N, C, H, W); anything of another rank as it is."""
    if isinstance(array, Tensor):
        return array
    array = np.ascontiguousarray(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array)
    return torch.from_numpy(array)


def build(stage: type[Stage], config: Any, spec: Spec, *base: Any) -> Stage:
    """Construct a stage with weights that depend on the run's seed alone, and on the pair that it refines, if any."""
    torch.manual_seed(derive(spec.seed, "init"))
    return stage(config, spec, *base)


def save_weights(path: Path, stage: Stage) -> None:
    """Write a stage's parameters and buffers as safetensors, atomically."""
    with whole(path) as part:
        save_file({name: value.detach().cpu().contiguous() for name, value in stage.state_dict().items()}, part)


class Keeper:
    """Looks after a training stage after every whole step: log, snapshots, checkpoints, divergence, a wish to stop."""

    def __init__(self, stage: Stage, folder: Path, watch: Watch) -> None:
        self.stage, self.folder, self.watch = stage, folder, watch
        self.checkpoint_path = folder / "last.ckpt"
        self.log_path = folder / "metrics.jsonl"
        self.seconds_before = 0.0
        self.curve: list[dict[str, float]] = []
        self.started = self.saved = time.monotonic()
        self.first_image = 0
        total = stage.total_steps
        self.log_every = max(1, total // LOG_POINTS)
        shares = SNAPSHOTS["points" if isinstance(stage, Method) and len(stage.spec.shape) == 1 else "image"]
        self.snapshot_steps = {max(1, round(total * share)) for share in shares} - {total}
        self.stopped = False

    def resume(self, optimizers: list[torch.optim.Optimizer]) -> None:
        """Continue from the last checkpoint if there is one; lines logged after it are dropped and will come again."""
        if self.checkpoint_path.exists():
            saved = torch.load(self.checkpoint_path, map_location="cpu", weights_only=True)
            self.stage.load_state_dict(saved["model"])
            for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(state)
            self.stage.restore(saved["counters"])
            self.curve, self.seconds_before = saved["curve"], saved["seconds"]
            self.first_image = self.stage.images_seen
        self.log_path.write_text("".join(json.dumps(row) + "\n" for row in self.curve))

    @property
    def seconds(self) -> float:
        """Wall seconds of training, those before a resume included."""
        return self.seconds_before + time.monotonic() - self.started

    def checkpoint(self) -> None:
        """Write everything that the next step depends on, atomically."""
        state = {
            "model": self.stage.state_dict(),
            "optimizers": [o.state_dict() for o in self.stage.trainer.optimizers],
            "counters": self.stage.counters(),
            "curve": self.curve,
            "seconds": self.seconds,
        }
        with whole(self.checkpoint_path) as part:
            torch.save(state, part)
        self.saved = time.monotonic()

    def after_step(self) -> None:
        """Run after each whole outer step."""
        stage = self.stage
        if stage.step % self.log_every == 0 or stage.step == stage.total_steps:
            self.log()
        if stage.step in self.snapshot_steps:
            (self.folder / "snapshots").mkdir(exist_ok=True)
            save_weights(self.folder / "snapshots" / f"{stage.images_seen:012d}.safetensors", stage)
        if self.watch.should_stop():
            self.stopped = True
            stage.trainer.should_stop = True
        if self.stopped or time.monotonic() - self.saved > self.watch.checkpoint_seconds:
            self.checkpoint()
        if stage.finished:
            stage.trainer.should_stop = True
        done = stage.images_seen - self.first_image
        self.watch.report(
            done=stage.images_seen,
            total=stage.total_steps * stage.rows_per_step,
            rate=done / max(1e-9, time.monotonic() - self.started),
        )

    def log(self) -> None:
        """Append the values that the step observed; refuse to go on when one of them is not finite.

        Raises:
            Diverged: naming the value and the step.
        """
        values = {name: float(value) for name, value in self.stage.observed.items()}
        for name, value in values.items():
            if not np.isfinite(value):
                raise Diverged(f"{name} = {value} at step {self.stage.step} ({self.stage.images_seen} images)")
        for name, parameter in self.stage.named_parameters():
            if not torch.isfinite(parameter.detach().sum()):  # a sum is fifty times as fast as a look at each weight
                raise Diverged(f"parameter {name} is not finite at step {self.stage.step}")
        row = {"images_seen": self.stage.images_seen, **values}
        self.curve.append(row)
        with self.log_path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.watch.report(loss=next(iter(values.values()), None))


def train(stage: Stage, data: np.ndarray | Tensor, folder: Path, watch: Watch, device: torch.device) -> dict[str, Any]:
    """Train ``stage`` on ``data`` and leave ``model.safetensors`` in ``folder``.

    Returns:
        What the stage's result says of the training: status, images seen, updates, seconds, curve.

    Raises:
        Diverged: if a loss or parameter is not finite.
        Stopped: if the watch asked for it; the next call on the same folder goes on from there.
    """
    keeper = Keeper(stage, folder, watch)
    if isinstance(stage, Method | LatentSampler) and stage.closed_form:
        stage.to(device)
        rows = as_tensor(data)
        stage.fit(as_float(rows).to(device))
        stage.images_seen = len(rows)
        watch.report(done=len(rows), total=len(rows), rate=len(rows) / max(1e-9, keeper.seconds))
    else:
        _fit(stage, data, keeper, device)
    stage.eval()
    save_weights(folder / "model.safetensors", stage)
    return {
        "images_seen": stage.images_seen,
        "updates": dict(stage.updates),
        "seconds": round(keeper.seconds, 3),
        "parameters": sum(stage.sizes().values()),
        "curve": keeper.curve,
        "facts": stage.facts(),
    }


def _fit(stage: Stage, data: np.ndarray | Tensor, keeper: Keeper, device: torch.device) -> None:
    """Run Lightning's trainer over the remaining steps."""
    rows = Rows(data, device)
    stage.to(device)
    stage.prepare(lambda: as_tensor(data))
    stage.after_step = keeper.after_step

    class Resume(L.Callback):
        def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            keeper.resume(trainer.optimizers)

    trainer = L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        max_epochs=1,
        logger=False,
        callbacks=[Resume()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(stage, Batches(rows, stage))
    if keeper.stopped:
        raise Stopped
    keeper.checkpoint()
    stage.to(device)


__all__ = ["Diverged", "Stopped", "Watch", "build", "train"]
