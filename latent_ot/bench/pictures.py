"""Pictures from a finished method: samples, reconstructions, interpolations."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
import torch

from latent_ot.bench import machine
from latent_ot.bench.benchmark import Benchmark, check_end
from latent_ot.bench.load import decoding, load_model
from latent_ot.bench.reconstruct import searchable
from latent_ot.bench.sampling import draw, rebuild, walk
from latent_ot.bench.train import as_tensor
from latent_ot.errors import Declined, InputError
from latent_ot.methods.base import Method, Pair
from latent_ot.metrics.psnr import psnr
from latent_ot.pictures.images import save_grid, save_points, save_strip
from latent_ot.stage import as_float

P = ParamSpec("P")
R = TypeVar("R")


def as_trained(of: Callable[Concatenate[Benchmark, P], R]) -> Callable[Concatenate[Benchmark, P], R]:
    """Let what is done of a benchmark in this process take its threads, as its workers do: sums depend on them.

    So does what its device does, where that is no CPU.
    """

    @wraps(of)
    def steady(benchmark: Benchmark, *args: P.args, **kwargs: P.kwargs) -> R:
        if benchmark.resources.device != "cpu":
            machine.be_deterministic()
        with machine.threads(benchmark.request.threads):
            return of(benchmark, *args, **kwargs)

    return steady


def finished(benchmark: Benchmark, method: str, seed: int) -> Method | Pair:
    """Return a trained model; see ``folders``."""
    return load_model(benchmark.catalog, folders(benchmark, method, seed), torch.device(benchmark.resources.device))


def folders(benchmark: Benchmark, method: str, seed: int) -> dict[str, Path]:
    """Return where the trained stages of a method lie, by role.

    Raises:
        InputError: if a stage of it is not trained yet, with the command that trains it.
        RunFailed: if one diverged or failed.
    """
    plan = benchmark.planner.training(method, seed)
    if plan.declined:
        raise InputError(plan.declined)
    for stage in plan.stages:
        if (benchmark.store.result(stage.name, verify=True) or {}).get("status") != "done":
            check_end(benchmark.store, stage)
            command = benchmark.request.command(method, seed).replace(" bench ", f" train {method} ")
            command = command.replace(f" --methods {method} --seeds ", " --seed ")
            raise InputError(f"{method} is not trained on {benchmark.dataset.id}: run `{command}` first")
    return {stage.job["role"]: benchmark.store.folder(stage.name) for stage in plan.stages}


@as_trained
def sample(benchmark: Benchmark, method: str, seed: int, n: int, out: Path) -> None:
    """Write ``n`` samples as one picture."""
    images = draw(finished(benchmark, method, seed), n, seed)
    if benchmark.dataset.kind == "points":
        save_points(out, benchmark.dataset.test[:n], images.numpy())
    else:
        save_grid(out, images.permute(0, 2, 3, 1).numpy())


@as_trained
def reconstruct(benchmark: Benchmark, method: str, seed: int, n: int, steps: int, out: Path) -> float:
    """Write held-out images above their reconstructions; return the mean PSNR in dB.

    Raises:
        InputError: if the method cannot reconstruct, with its reason.
    """
    device = torch.device(benchmark.resources.device)
    model = searchable(benchmark.catalog, decoding(folders(benchmark, method, seed)), device)
    originals = as_tensor(np.array(benchmark.dataset.test[:n]))
    try:
        rebuilt = rebuild(model, as_float(originals).to(device), seed, steps).images
    except Declined as reason:
        raise InputError(str(reason)) from None
    save_strip(out, originals.permute(0, 2, 3, 1).numpy(), rebuilt.permute(0, 2, 3, 1).numpy())
    return psnr(originals, rebuilt)


@as_trained
def interpolate(benchmark: Benchmark, method: str, seed: int, rows: int, steps: int, out: Path) -> None:
    """Write ``rows`` walks of ``steps`` images between drawn source points, or between codes where there are none."""
    images = walk(finished(benchmark, method, seed), rows, steps, seed).flatten(0, 1)
    save_grid(out, images.permute(0, 2, 3, 1).numpy(), steps)
