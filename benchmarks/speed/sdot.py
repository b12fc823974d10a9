"""Semi-discrete OT against POT's solver, time to an error: `python benchmarks/speed/sdot.py`.

Targets: ten Gaussian clusters scaled to unit max-abs; source: uniform on the centred unit cube. All solutions are
judged alike, by the debiased RMS of n v_i - 1 on 10^6 fresh points, and judging is not timed. Our time is that of the
steps up to the one whose check passes, checks included, and of further ones if the judge disagrees. POT's solver has
no test of its own: it is run for growing numbers of iterations, the number that just reaches an error is interpolated
(log-log), and its time is that number times the time of one iteration, measured in turns with ours. Of its settings
the best one for each error counts; all have decreasing regularisation, batch 32, the bilinear cost and the torch
backend, which is several times as fast as NumPy's. Wall time on two threads is what a user waits; other work on the
machine distorts it, but not the CPU time of a single thread, which is given beside it.
"""

import itertools
import math
import sys
import time
from typing import Any

import numpy as np
import torch
from ot.semidiscrete import solve_semidiscrete
from timing import write
from torch import Tensor

from latent_ot.seeding import generator
from latent_ot.transport.semidiscrete import SemiDiscrete, State

PROBLEMS = ((2000, 16), (5000, 64))
ERRORS = (0.20, 0.10, 0.06)
REPEATS = 3
BATCH = 32
FIRST = 250  # POT's iterations: this many, then twice as many again and again
FINALISTS_FROM = 2000  # from here on only POT's two best settings are followed
LONGEST = 32_000  # iterations
SETTINGS = {  # (first regularisation, step size over POT's default): its defaults first, then what was better somewhere
    "default": (0.1, 1.0),
    "reg 0.3": (0.3, 1.0),
    "reg 0.3, step / 3": (0.3, 1 / 3),
    "reg 1, step / 3": (1.0, 1 / 3),
}


def targets(n: int, d: int) -> Tensor:
    """Return codes (n, d) of ten Gaussian clusters, largest absolute coordinate 1."""
    g = generator(0, f"targets-{n}-{d}")
    centres = 3 * torch.randn(10, d, generator=g)
    z = centres[torch.randint(10, (n,), generator=g)] + torch.randn(n, d, generator=g)
    return z / z.abs().max()


def judge(codes: Tensor, heights: Tensor) -> float:
    """Return the debiased RMS of n v_i - 1 on 10^6 fresh points, the same ones for every solver."""
    problem = SemiDiscrete(codes)
    best = torch.empty_like(heights).scatter(0, problem.owner, heights)
    state = State(**(problem.start().tensors() | {"best": best}))
    return problem.conclude(state, generator(0, "judge"))[0].error


class Clock:
    """Wall and CPU seconds spent inside ``with`` blocks."""

    def __init__(self) -> None:
        self.seconds = np.zeros(2)

    def __enter__(self) -> None:
        self.begin = np.array([time.perf_counter(), time.process_time()])

    def __exit__(self, *_: object) -> None:
        self.seconds += np.array([time.perf_counter(), time.process_time()]) - self.begin


def ours(codes: Tensor, error: float, seed: int) -> tuple[np.ndarray, float]:
    """Return the wall and CPU seconds of a solution and its judged error."""
    clock = Clock()
    with clock:
        problem = SemiDiscrete(codes, error)
        state = problem.start()
    while True:
        with clock:
            while not bool(state.done) and int(state.steps) < problem.schedule.max_steps:
                state = problem.step(state, generator(seed, "sdot", int(state.steps)))
        solution, state = problem.conclude(state, generator(0, "judge"))
        if solution.converged or int(state.steps) >= problem.schedule.max_steps:
            return clock.seconds, solution.error


def pot(codes: Tensor, iterations: int, setting: str) -> Tensor:
    """Return POT's heights (n,) after so many iterations."""
    (n, d), g, (reg, step) = codes.shape, generator(0, "pot"), SETTINGS[setting]
    return solve_semidiscrete(
        codes,
        lambda size: torch.rand(size, d, generator=g) - 0.5,
        metric=lambda x, y: -(x @ y.T),
        max_iter=iterations,
        batch_size=BATCH,
        decreasing_reg_initial_eps=reg,
        lr0=step * math.sqrt(n * BATCH),
    )


def iteration(codes: Tensor, count: int = 300) -> np.ndarray:
    """Return the wall and CPU seconds of one of POT's iterations."""
    clock = Clock()
    with clock:
        pot(codes, count, "default")
    return clock.seconds / count


def curves(codes: Tensor, longest: float) -> dict[str, list[tuple[int, float]]]:
    """Return, for POT's settings, the judged error after growing numbers of iterations, up to ``longest`` of them."""
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in SETTINGS}
    followed, k = list(SETTINGS), FIRST
    while k <= longest and min((e for curve in found.values() for _, e in curve), default=1.0) > min(ERRORS):
        for name in followed:
            found[name].append((k, round(judge(codes, pot(codes, k, name)), 4)))
            print(name, *found[name][-1], file=sys.stderr, flush=True)
        if k >= FINALISTS_FROM:
            followed = sorted(followed, key=lambda name: found[name][-1][1])[:2]
        k *= 2
    return found


def needed(curve: list[tuple[int, float]], error: float) -> float:
    """Return the iterations that reach ``error``, log-log between the points of a curve; infinite if none does."""
    for (k0, e0), (k1, e1) in itertools.pairwise(curve):
        if e1 <= error < e0:
            return k0 * (k1 / k0) ** (math.log(e0 / error) / math.log(e0 / e1))
    return math.inf


def compare(n: int, d: int) -> dict[str, Any]:
    """Return the times to each error on one problem, on two threads and on one."""
    codes, result = targets(n, d), {}
    torch.set_num_threads(2)
    followed = curves(codes, LONGEST)
    for threads in (2, 1):
        torch.set_num_threads(threads)
        runs: dict[float, list[np.ndarray]] = {error: [] for error in ERRORS}
        peer, worst = [], dict.fromkeys(ERRORS, 0.0)
        for repeat in range(REPEATS):
            for error in ERRORS:
                seconds, judged = ours(codes, error, repeat)
                runs[error].append(seconds)
                worst[error] = max(worst[error], judged)
                peer.append(iteration(codes))
        each = np.median(peer, axis=0)
        row: dict[str, Any] = {"pot_seconds_per_iteration": spent(each)}
        for error in ERRORS:
            own = np.median(runs[error], axis=0)
            count, setting = min((needed(curve, error), name) for name, curve in followed.items())
            row[f"to {error:.2f}"] = {"ours": spent(own), "worst_error": round(worst[error], 4)}
            if math.isfinite(count):
                row[f"to {error:.2f}"] |= {"pot": spent(count * each), "pot_iterations": round(count)}
                row[f"to {error:.2f}"] |= {"pot_setting": setting, "times_as_fast": spent(count * each / own)}
        result[f"{threads} threads"] = row
    return result | {"pot_error_after": followed}


def spent(seconds: np.ndarray) -> dict[str, float]:
    """Return wall and CPU figures by name, to three digits."""
    return {name: float(f"{value:.3g}") for name, value in zip(("wall", "cpu"), seconds, strict=True)}


def main() -> None:
    """Measure and write the results."""
    write(__file__, {"problems": {f"n={n} d={d}": compare(n, d) for n, d in PROBLEMS}})


if __name__ == "__main__":
    main()
