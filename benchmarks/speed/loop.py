"""What a step costs beside its mathematics: `OMP_NUM_THREADS=1 python benchmarks/speed/loop.py`.

Ours is what a benchmark's worker runs: Lightning, hooks, seeds, draws, progress, curves, checkpoints. The other one is
the method's own ``training_step`` in a bare loop: plain optimizers, random rows, no seeds, nothing kept. Both
have tiny networks, on one thread and in one process, and take turns. The figures are milliseconds of CPU time a step,
of the median turn; of cores that have other work, too, only the ratio says something. Goals on quiet cores: at most 0.3
ms more for VAE and GLO, 1.0 for WGAN-GP. `--profile NAME` says where Python spends it.
"""

import copy
import json
import logging
import os
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Generator
from itertools import cycle
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import alone, write

from latent_ot.bench import machine
from latent_ot.bench.train import Stopped, Watch, as_tensor, build, train
from latent_ot.bench.worker import Line
from latent_ot.catalog import Catalog
from latent_ot.stage import Batch, Spec, Stage, as_float

COUNT, SIDE, BATCH, WIDTH = 2_000, 16, 8, 1 / 64
TURNS = 12  # of either
CASES = {"vae": 50, "glo": 50, "wgan_gp": 12}  # -> steps of a turn


def bare(stage: Stage, images: np.ndarray, steps: int) -> Generator[None, None, None]:
    """Take the steps of a stage in a plain loop; each ``next`` is one turn."""
    made: Any = stage.configure_optimizers()
    optimizers = made if isinstance(made, list) else [made]
    mine: Any = stage
    mine._trainer = types.SimpleNamespace(optimizers=optimizers)  # of which Lightning's toggling asks for them
    mine.optimizers = lambda use_pl_optimizer=True: made
    mine.manual_backward = lambda loss: loss.backward()
    x = as_float(as_tensor(images))
    rows = torch.randperm(len(x)).split(stage.rows_per_step)[:-1]
    stage.step = 1
    for step, index in enumerate(cycle(rows), 1):
        stage.training_step(Batch(index, x[index]), step)
        if step % steps == 0:
            yield


class Turns:
    """Hears of our steps; between two of our turns it lets the bare loop take one."""

    def __init__(self, other: Generator[None, None, None], steps: int) -> None:
        self.other, self.steps, self.step = other, steps, 0
        self.ours, self.theirs = list[float](), list[float]()
        self.end, pipe = Pipe(duplex=False)
        self.line, self.begin = Line(pipe), 0.0

    def report(self, **values: Any) -> None:
        """Pass progress on as a worker does; this is the last thing that happens in a step."""
        self.line.report(**values)
        if "done" not in values:
            return
        self.step += 1
        if self.step % self.steps:
            return
        middle = time.process_time()
        next(self.other)
        if self.step > self.steps:  # the first turn of either is for warming up
            self.ours.append(middle - self.begin)
            self.theirs.append(time.process_time() - middle)
        while self.end.poll():
            self.end.recv()
        self.begin = time.process_time()

    def should_stop(self) -> bool:
        """Whether all turns have been taken."""
        return len(self.ours) == TURNS


def run(name: str, around: Callable[[Callable[[], None]], None] = lambda call: call()) -> dict[str, Any]:
    """Measure a method; ``around``: what calls the training, a profiler perhaps."""
    for logger in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    machine.be_deterministic()
    machine.limit_threads(1)
    machine.leave_out_gpus(torch.device("cpu"), os.environ)
    images = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 1), dtype=np.uint8)
    stage_class = Catalog().stage("methods", name)
    config = stage_class.Config.build({"batch_size": BATCH}, name)
    made = build(stage_class, config, Spec((1, SIDE, SIDE), COUNT, 10**7, WIDTH))
    clock = Turns(bare(copy.deepcopy(made), images, CASES[name]), CASES[name])
    with tempfile.TemporaryDirectory() as folder:

        def call() -> None:
            try:
                train(made, images, Path(folder), Watch(clock.report, clock.should_stop, 20.0), torch.device("cpu"))
            except Stopped:
                clock.other.close()

        around(call)
    ours, theirs = (1000 * np.array(times) / CASES[name] for times in (clock.ours, clock.theirs))
    more = np.quantile(ours - theirs, (0.25, 0.5, 0.75))
    return {
        "bare_ms": round(float(np.median(theirs)), 3),
        "more_ms": round(float(more[1]), 3),
        "quartiles": [round(float(q), 3) for q in more],
    }


def profiled(name: str) -> None:
    """Print where Python spends a training's time, by functions of which it is the own time."""
    import cProfile
    import pstats

    profile = cProfile.Profile()

    def around(call: Callable[[], None]) -> None:
        profile.runcall(call)

    print(run(name, around))
    pstats.Stats(profile).sort_stats("cumulative").print_stats(90)


def main() -> None:
    """Measure all cases, each in a process of its own, and write them."""
    write(__file__, {"cases": {name: alone(__file__, name) for name in CASES}})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--profile"]:
        profiled(sys.argv[2])
    elif len(sys.argv) > 1:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        print(json.dumps(run(sys.argv[1])))
    else:
        main()
