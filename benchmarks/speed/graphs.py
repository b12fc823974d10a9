"""Steps on a GPU as CUDA graphs, against steps one by one: `python benchmarks/speed/graphs.py [NAME ...]`.

For every method that may be captured, at full width and the papers' batch, on random images:

- `equal`: after 50 steps from the same start, one by one and by replays, the largest differences of losses (relative),
  of samples and of parameters (absolute). Where a gradient is rounding alone, as that of a bias before a normalisation,
  Adam makes whole steps of it. Such parameters are left out and named (`rounding`): those that differ by more than 1e-4
  between two trainings *taken one by one*, of which one begins with weights changed in their last bit.
- `ms`: milliseconds of an outer step as a worker trains it, one by one, by replays, and by replays in bfloat16.
- `busy`: the share of that time in which the GPU computes, by torch's profiler; `launches`: kernels a step.

Each method has a process of its own, so that a capture that fails spoils no other; why it failed is in `notes`. Without
a GPU the script tries itself: few steps of small networks, with plain calls in place of captures, and writes nothing.
`--side 64` is the colour table. Results are graphs32.json and graphs64.json; none has been taken yet.
"""

import argparse
import contextlib
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from timing import alone, write

from latent_ot.bench import graphs, machine
from latent_ot.bench.train import Stopped, Watch, build, train
from latent_ot.catalog import Catalog
from latent_ot.seeding import generator
from latent_ot.stage import Spec, Stage

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
COMPARED, WARM, STEPS, PROFILED = (50, 40, 200, 20) if GPU else (6, 2, 3, 1)
WIDTH = 1.0 if GPU else 1 / 16
SHAPES = {32: (1, 32, 32), 64: (3, 64, 64)}
CATALOG = Catalog()


def able() -> list[str]:
    """Return the methods that may be captured."""
    methods = {name: CATALOG.stage("methods", name) for name in CATALOG.files["methods"]}
    return sorted(name for name, stage in methods.items() if vars(stage).get("replayable", False))


def made(name: str, side: int, steps: int, **settings: Any) -> tuple[Stage, np.ndarray]:
    """Return a method at its paper's settings with a budget of so many steps, and images."""
    shape, stage = SHAPES[side], CATALOG.stage("methods", name)
    count = 20_000 if GPU else 700
    config = stage.Config.build({**stage.defaults(shape, settings), **settings}, name)
    probe = build(stage, config, Spec(shape, count, 10**6, WIDTH))
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, shape[0]), dtype=np.uint8)
    return build(stage, config, Spec(shape, count, steps * probe.rows_per_step, WIDTH)), images


@contextlib.contextmanager
def by(kind: str) -> Iterator[None]:
    """Take steps by replays, or one by one."""
    captured = (
        (lambda device: graphs.capture if GPU else lambda step: step) if kind == "replays" else lambda device: None
    )
    with patch.object(graphs, "capture_on", captured):
        yield


def trained(name: str, side: int, kind: str, change: float = 0.0) -> tuple[Stage, dict[str, Any]]:
    """Train for the compared steps; ``change``: relative, of all initial weights."""
    stage, images = made(name, side, COMPARED)
    with torch.no_grad():
        for parameter in stage.parameters():
            parameter.mul_(1 + change)
    with tempfile.TemporaryDirectory() as folder, by(kind):
        result = train(stage, images, Path(folder), Watch(lambda **values: None, lambda: False, 1e9), DEVICE)
    return stage, result


def differences(one: Stage, other: Stage) -> dict[str, float]:
    """Return each parameter's largest difference."""
    theirs = dict(other.named_parameters())
    return {name: float((p - theirs[name]).abs().max()) for name, p in one.named_parameters() if p.numel()}


@torch.no_grad()
def samples(stage: Any) -> torch.Tensor:
    """Return images of fixed codes."""
    codes = torch.randn(64, stage.latent_dim, generator=generator(0, "compared")).to(DEVICE)
    return stage.eval().decode(codes)


def equal(name: str, side: int) -> dict[str, Any]:
    """Compare steps one by one with replays."""
    (plain, wanted), (replayed, found) = (trained(name, side, kind) for kind in ("steps", "replays"))
    nudged, _ = trained(name, side, "steps", change=2.0**-23)
    rounding = {key for key, value in differences(plain, nudged).items() if value > 1e-4}
    apart = {key: value for key, value in differences(plain, replayed).items() if key not in rounding}
    losses = [
        abs(a[key] - b[key]) / max(1e-8, abs(a[key]), abs(b[key]))
        for a, b in zip(wanted["curve"], found["curve"], strict=True)
        for key in a
    ]
    return {
        "steps": COMPARED,
        "losses": max(losses),
        "samples": float((samples(plain) - samples(replayed)).abs().max()),
        "parameters": max(apart.values(), default=0.0),
        "rounding": sorted(rounding),
        "same": {key: wanted[key] == found[key] for key in ("images_seen", "updates")},
        "notes": found["notes"],
    }


class Clock:
    """Times whole steps of a training, then profiles some."""

    def __init__(self) -> None:
        self.step, self.begin, self.ms = 0, 0.0, 0.0
        self.profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) if GPU else None

    def report(self, **values: Any) -> None:
        """Hear of a step."""
        if "done" not in values:
            return
        self.step += 1
        if self.step in (WARM, WARM + STEPS, WARM + STEPS + PROFILED) and GPU:
            torch.cuda.synchronize()
        if self.step == WARM:
            self.begin = time.perf_counter()
        elif self.step == WARM + STEPS:
            self.ms = 1000 * (time.perf_counter() - self.begin) / STEPS
            if self.profile:
                self.profile.__enter__()
        elif self.step == WARM + STEPS + PROFILED and self.profile:
            self.profile.__exit__(None, None, None)

    def should_stop(self) -> bool:
        """Whether all is measured."""
        return self.step >= WARM + STEPS + PROFILED - 1

    def figures(self) -> dict[str, float]:
        """Return milliseconds of a step, the GPU's share of it and its kernels."""
        found = {"ms": round(self.ms, 3)}
        if self.profile:
            kernels = [e for e in self.profile.events() or () if e.device_type == torch.autograd.DeviceType.CUDA]
            busy = sum(e.time_range.elapsed_us() for e in kernels) / 1000 / PROFILED
            found |= {"busy": round(busy / self.ms, 3), "launches": round(len(kernels) / PROFILED)}
        return found


def pace(name: str, side: int, kind: str, **settings: Any) -> dict[str, Any]:
    """Time steps as a worker trains them."""
    stage, images = made(name, side, 10 * (WARM + STEPS + PROFILED), **settings)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, by(kind), contextlib.suppress(Stopped):
        train(stage, images, Path(folder), Watch(clock.report, clock.should_stop, 1e9), DEVICE)
    return clock.figures()


def run(name: str, side: int) -> dict[str, Any]:
    """Measure a method."""
    for logger in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    machine.be_deterministic()
    machine.limit_threads(1)
    found: dict[str, Any] = {"equal": equal(name, side)}
    for case, (kind, settings) in {
        "steps": ("steps", {}),
        "replays": ("replays", {}),
        "replays_bf16": ("replays", {"precision": "bf16"}),
    }.items():
        try:
            found[case] = pace(name, side, kind, **settings)
        except Exception as why:
            found[case] = {"failed": f"{type(why).__name__}: {(str(why).splitlines() or [''])[0][:200]}"}
    if "ms" in found["replays"] and "ms" in found["steps"]:
        found["times_as_fast"] = round(found["steps"]["ms"] / found["replays"]["ms"], 2)
    return found


def main() -> None:
    """Measure the methods that were named, or all, each in a process of its own, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="methods; default: all that may be captured")
    parser.add_argument("--side", type=int, default=32, choices=SHAPES)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one or not GPU:
        for name in given.names or able():
            print(json.dumps(run(name, given.side)), flush=True)
        return
    found: dict[str, Any] = {}
    for name in given.names or able():
        try:
            found[name] = alone(__file__, name, "--one", "--side", str(given.side))
        except Exception as why:  # one that spoils its process is a row of its own
            found[name] = {"failed": str(why)}
            print(f"{name}: {why}", file=sys.stderr)
    write(
        str(Path(__file__).with_stem(f"graphs{given.side}")),
        {"gpu": machine.describe(DEVICE), "side": given.side, "methods": found},
    )


if __name__ == "__main__":
    main()
