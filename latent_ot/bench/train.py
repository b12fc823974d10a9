"""Train one stage with Lightning: batches by index on the device, exact resume, snapshots, a stop at any whole step."""

import copy
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import lightning as L
import numpy as np
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from torch import Tensor

from latent_ot.bench import graphs
from latent_ot.bench.contract import Steps
from latent_ot.bench.loop import Loop
from latent_ot.bench.rows import Batches, Rows, as_tensor
from latent_ot.errors import Damaged
from latent_ot.files import reading, set_aside, sha256
from latent_ot.methods.base import Method
from latent_ot.networks._synchronised import synchronise
from latent_ot.ranks import ALONE, Rank, agree, agreed, gather, mean
from latent_ot.samplers.base import LatentSampler
from latent_ot.seeding import derive
from latent_ot.stage import Batch, Spec, Stage, as_float
from latent_ot.tensors import fill, read_checkpoint, write_checkpoint, write_weights

S = TypeVar("S", bound=Stage)
LOG_POINTS = 200  # values kept per curve, whatever the budget
SNAPSHOTS = {"image": tuple(2.0**-k for k in range(7, 0, -1)), "points": tuple(k / 16 for k in range(1, 16))}
"""Shares of the budget at which weights are kept, for FID or, of points, for modes covered against images seen."""


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
    steps: Callable[[], AbstractContextManager[None]] = nullcontext
    """Around steps, which a wish to stop lets come to a checkpoint."""


def build(stage: type[S], config: Any, spec: Spec, *base: Any) -> S:
    """Construct a stage with weights that depend on the run's seed alone, and on the pair that it refines, if any."""
    torch.manual_seed(derive(spec.seed, "init"))
    return stage(config, spec, *base)


def _check_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """See that a state is that of an optimizer's parameters, which torch finds out at the next step only."""
    for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=True):
        for parameter, index in zip(group["params"], saved["params"], strict=True):
            for name, value in state["state"].get(index, {}).items():
                if isinstance(value, Tensor) and value.shape != parameter.shape[: value.ndim]:
                    raise ValueError(f"an optimizer's {name} is {tuple(value.shape)}, not {tuple(parameter.shape)}")


class Keeper:
    """Looks after a training stage after every whole step: log, snapshots, checkpoints, divergence, a wish to stop.

    Each rank has one; files are written by that of rank 0 alone, which ``leads``.
    """

    def __init__(self, stage: Stage, folder: Path, watch: Watch, leads: bool = True) -> None:
        self.stage, self.folder, self.watch, self.leads = stage, folder, watch, leads
        self.checkpoint_path = folder / "last.ckpt"
        self.log_path = folder / "metrics.jsonl"
        self.of = folder.name.rpartition("-")[2]  # of a stage of the store its key
        self.seconds_before = 0.0
        self.curve: list[dict[str, float]] = []
        self.snapshots: dict[str, str] = {}  # file -> sha256
        self.notes: list[str] = []
        self.started = self.saved = time.monotonic()
        self.first_image = 0
        total = stage.total_steps
        self.log_every = max(1, total // LOG_POINTS)
        shares = SNAPSHOTS["points" if isinstance(stage, Method) and len(stage.spec.shape) == 1 else "image"]
        self.snapshot_steps = {max(1, round(total * share)) for share in shares} - {total}
        self.stopped = False
        self.steps: Steps | None = None

    def resume(self, optimizers: list[torch.optim.Optimizer]) -> None:
        """Continue from the last checkpoint if there is one; lines logged after it are dropped and will come again.

        A checkpoint that is damaged, or another stage's, is set aside, and training begins anew: snapshots have no
        state of optimizers, so that none is where a training could go on from as if nothing had happened.
        """
        if self.checkpoint_path.exists():
            first = copy.deepcopy((self.stage.state_dict(), [o.state_dict() for o in optimizers]))
            counters = self.stage.counters()
            try:
                self._restore(optimizers)
            except Damaged as why:
                self.stage.load_state_dict(first[0])
                for optimizer, state in zip(optimizers, first[1], strict=True):
                    optimizer.load_state_dict(state)
                self.stage.restore(counters)
                if self.leads:
                    set_aside(self.checkpoint_path)
                    self.note(f"{why.problem}: set aside, trained from the start")
        if self.leads:
            self.log_path.write_text("".join(json.dumps(row) + "\n" for row in self.curve))
        if len(gather(torch.tensor([self.stage.step])).unique()) > 1:
            raise RuntimeError(f"{self.checkpoint_path.name} was read by one process and not by another")
        agree([*self.stage.parameters(), *self.stage.buffers()])

    def note(self, line: str) -> None:
        """Say a line now and in the result."""
        self.notes.append(line)
        print(line, file=sys.stderr)

    def _restore(self, optimizers: list[torch.optim.Optimizer]) -> None:
        path, what = self.checkpoint_path, f"a checkpoint of {type(self.stage).__name__}"
        saved = read_checkpoint(path, what)
        with reading(path, what, "train from the start"):
            if saved.get("of", self.of) != self.of:
                raise ValueError(f"it is one of the stage {saved['of']}")
            fill(self.stage, saved["model"], path, what)
            for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
                _check_state(optimizer, state)
                optimizer.load_state_dict(state)
            self.stage.restore(saved["counters"])
            if not 0 <= self.stage.step <= self.stage.total_steps:
                raise ValueError(f"it is of step {self.stage.step} of {self.stage.total_steps}")
            for name, digest in saved.get("snapshots", {}).items():
                if not (self.folder / name).is_file() or sha256(self.folder / name) != digest:
                    raise ValueError(f"{name}, which was before it, is missing or damaged")
            if not all(math.isfinite(value) for row in saved["curve"] for value in row.values()):
                raise ValueError("its curve is not finite")
            self.seconds_before, self.snapshots = float(saved["seconds"]), dict(saved.get("snapshots", {}))
        self.curve, self.first_image = saved["curve"], self.stage.images_seen

    @property
    def seconds(self) -> float:
        """Wall seconds of training, those before a resume included."""
        return self.seconds_before + time.monotonic() - self.started

    def checkpoint(self) -> None:
        """Write everything that the next step depends on, atomically."""
        if not self.leads:
            return
        state = {
            "model": self.stage.state_dict(),
            "optimizers": [o.state_dict() for o in self.stage.trainer.optimizers],
            "counters": self.stage.counters(),
            "curve": self.curve,
            "seconds": self.seconds,
            "of": self.of,
            "snapshots": self.snapshots,
        }
        write_checkpoint(self.checkpoint_path, state)
        self.saved = time.monotonic()

    def after_step(self) -> None:
        """Run after each whole outer step."""
        stage = self.stage
        if stage.step % self.log_every == 0 or stage.step == stage.total_steps:
            if self.steps is not None:
                self.steps.check_observed()
            self.log()
            if self.steps is not None:  # not before: a step that diverged is said to have diverged
                self.steps.check()
        if stage.step in self.snapshot_steps and self.leads:
            name = f"snapshots/{stage.images_seen:012d}.safetensors"
            self.snapshots[name] = write_weights(self.folder / name, stage)
        if agreed(self.watch.should_stop()):
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
        observed = torch.tensor([float(value) for value in self.stage.observed.values()], dtype=torch.float64)
        values = dict(zip(self.stage.observed, mean(observed).tolist(), strict=True))
        for name, value in values.items():
            if not np.isfinite(value):
                raise Diverged(f"{name} = {value} at step {self.stage.step} ({self.stage.images_seen} images)")
        parameters = dict(self.stage.named_parameters())
        sums = [p.detach().sum() for p in parameters.values()]  # fifty times as fast as a look at each weight
        for name, finite in zip(parameters, torch.stack(sums).isfinite().tolist() if sums else (), strict=True):
            if not finite:
                raise Diverged(f"parameter {name} is not finite at step {self.stage.step}")
        row = {"images_seen": self.stage.images_seen, **values}
        self.curve.append(row)
        if self.leads:
            with self.log_path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        self.watch.report(loss=next(iter(values.values()), None))


def train(
    stage: Stage, data: np.ndarray | Tensor, folder: Path, watch: Watch, device: torch.device, rank: Rank = ALONE
) -> dict[str, Any]:
    """Train ``stage`` on ``data`` and leave ``model.safetensors`` in ``folder``; together with the other ranks.

    Returns:
        What the stage's result says of the training: status, images seen, updates, seconds, curve. Nothing, of a rank
        that does not lead.

    Raises:
        Diverged: if a loss or parameter is not finite.
        Stopped: if the watch asked for it; the next call on the same folder goes on from there.
    """
    keeper = Keeper(stage, folder, watch, rank.leads)
    if isinstance(stage, Method | LatentSampler) and stage.closed_form:
        stage.to(device)
        rows = as_tensor(data)
        stage.fit(as_float(rows).to(device))
        stage.images_seen = len(rows)
        watch.report(done=len(rows), total=len(rows), rate=len(rows) / max(1e-9, keeper.seconds))
    else:
        with rank.joined(device):
            _fit(stage, data, keeper, device)
    if not rank.leads:
        return {}
    stage.eval()
    write_weights(folder / "model.safetensors", stage)
    return {
        "images_seen": stage.images_seen,
        "updates": dict(stage.updates),
        "seconds": round(keeper.seconds, 3),
        "parameters": sum(stage.sizes().values()),
        "curve": keeper.curve,
        "facts": stage.facts(),
        "notes": keeper.notes,
    }


def in_precision(stage: Stage, device: torch.device) -> Callable[[Batch, int], Any]:
    """Return a stage's ``training_step``, under autocast to bfloat16 where its settings ask for that."""
    step = stage.training_step
    if getattr(stage.config, "precision", "float32") == "float32":
        return step

    def lowered(batch: Batch, batch_idx: int) -> Any:
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):  # weights change within a step
            return step(batch, batch_idx)

    return lowered


def _fit(stage: Stage, data: np.ndarray | Tensor, keeper: Keeper, device: torch.device) -> None:
    """Run Lightning's trainer over the remaining steps."""
    rows = Rows(data, device)
    stage.to(device)
    stage.prepare(lambda: as_tensor(data))
    synchronise(stage)
    stage.after_step = keeper.after_step
    steps = keeper.steps = Steps(stage)

    step = in_precision(stage, device)
    taker = graphs.taker(stage, step, rows, steps, keeper.note)
    loop = Loop(stage, *((taker.batch, taker.take) if taker else (Batches(rows, stage).at, step)))

    class Resume(L.Callback):
        def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            keeper.resume(trainer.optimizers)
            steps.watch(trainer.optimizers)

    trainer = L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        max_epochs=1,
        logger=False,
        callbacks=[Resume()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[LightningEnvironment()],  # not the cluster's that its variables speak of: this is one process
    )
    with keeper.watch.steps(), graphs.stream_of_its_own(device), taker or nullcontext(), loop:
        trainer.fit(stage, loop)
        if not keeper.stopped:
            keeper.checkpoint()
    if keeper.stopped or keeper.watch.should_stop():
        raise Stopped
    stage.to(device)


__all__ = ["Batches", "Diverged", "Rows", "Stopped", "Watch", "as_tensor", "build", "train"]
