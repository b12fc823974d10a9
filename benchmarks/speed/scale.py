"""Semi-discrete OT at the size of MNIST: `python benchmarks/speed/scale.py [SECONDS]`.

60,000 codes of 64 dimensions, ten Gaussian clusters, for a bounded time (default 180 s) by the sampler's own training
step. Written down: seconds a step, the held-out error as the sampler reports it, the process's largest memory, and
how many steps with hard cells come before the first check, after some 17 n / batch steps with soft ones. The full solve
is for a GPU.
"""

import sys
import time
from typing import Any

import torch
from sdot import targets
from timing import write

from latent_ot.bench.machine import peak_memory_mb
from latent_ot.samplers.sdot import Sdot, SdotConfig
from latent_ot.stage import Batch, Spec

N, DIM = 60_000, 64


def main(seconds: float) -> None:
    """Step for so long and write what was seen."""
    torch.set_num_threads(2)
    codes = targets(N, DIM)
    sampler = Sdot(SdotConfig.build({}, where="sdot"), Spec((DIM,), N, images=1))
    sampler.fit(codes)
    batch = Batch(torch.zeros(1, dtype=torch.int64), codes[:1])
    seen: list[dict[str, Any]] = []
    begun, pace = time.monotonic(), 0.0
    while time.monotonic() - begun < seconds:
        started = time.monotonic()
        sampler.on_train_batch_start(batch, sampler.step)
        sampler.training_step(batch, sampler.step)
        sampler.on_train_batch_end(None, batch, sampler.step)
        error = float(sampler.observed.get("error", float("nan")))
        if error == error and error != (seen[-1]["error"] if seen else None):
            seen.append({"step": sampler.step, "error": error, "seconds": round(time.monotonic() - begun, 1)})
            print(seen[-1], file=sys.stderr)
        else:
            pace = time.monotonic() - started  # of a step without a glance
    found = {
        "steps": sampler.step,
        "points_per_step": sampler.schedule.batch,
        "seconds_per_step": round(pace, 3),
        "held_out_error": [{**row, "error": round(row["error"], 4)} for row in seen],
        "peak_memory_mb": peak_memory_mb(torch.device("cpu")),
        "first_check_after_hard_steps": sampler.schedule.first_check,
        "step_limit": sampler.total_steps,
    }
    write(__file__, {"n": N, "d": DIM, **found})


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 180.0)
