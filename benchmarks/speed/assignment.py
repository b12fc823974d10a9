"""Exact assignment against SciPy's and POT's solvers: `OMP_NUM_THREADS=1 python benchmarks/speed/assignment.py`.

Codes: ten Gaussian clusters, of mean 0 and one common scale. They are assigned to uniform noise (far, as OTtrans does
once) or to other codes of the same law (near, as OTgen does in every step once it has converged). Every time holds all
that lies between two clouds and the bijection, costs included; SciPy and POT take float64 squared distances, as their
users do. Solvers are timed in turns, medians of wall and CPU milliseconds count, and all must agree on the cost to
1e-9. An OTgen step with the batch of CelebA's is taken apart as well: assignment and network.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import ot
import torch
from scipy.optimize import linear_sum_assignment
from timing import write
from torch import Tensor

from latent_ot.samplers.ot_trans import CubeMap
from latent_ot.seeding import generator
from latent_ot.transport.assignment import assign

PROBLEMS = {(128, 8): 50, (1024, 64): 3, (4096, 64): 1}  # (n, d): pairs of clouds that are solved in each turn
TURNS = 3
STEP = (4096, 64)  # batch and code length of OTgen on CelebA


def codes(n: int, d: int, purpose: str, index: int = 0) -> Tensor:
    """Return float32 codes (n, d)."""
    centres = 2 * torch.randn(10, d, generator=generator(0, "centres"))
    g = generator(0, purpose, index)
    z = centres[torch.randint(10, (n,), generator=g)] + torch.randn(n, d, generator=g)
    return (z - z.mean(dim=0)) / z.std()


def noise(n: int, d: int, index: int = 0) -> Tensor:
    """Return float32 draws (n, d) of U(-1, 1)^d."""
    return 2 * torch.rand(n, d, generator=generator(0, "noise", index)) - 1


def ours(x: Tensor, y: Tensor) -> np.ndarray:
    """Return the bijection by ``assign``."""
    return assign(x, y).numpy()


def scipy(x: Tensor, y: Tensor) -> np.ndarray:
    """Return it by SciPy."""
    return linear_sum_assignment(ot.dist(x.double().numpy(), y.double().numpy()))[1]


def pot(x: Tensor, y: Tensor) -> np.ndarray:
    """Return it by POT's network simplex."""
    return ot.emd([], [], ot.dist(x.double().numpy(), y.double().numpy()), numItermax=10**9).argmax(axis=1)


def turns(calls: dict[str, Callable[[], object]], parts: int = 1) -> dict[str, dict[str, float]]:
    """Return the median wall and CPU milliseconds of each call, which solves ``parts`` problems, timed in turns."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: {
            unit: digits(1000 / parts * statistics.median(pair[place] for pair in times))
            for place, unit in enumerate(("wall", "cpu"))
        }
        for name, times in spent.items()
    }


def digits(value: float) -> float:
    """Return three of them."""
    return float(f"{value:.3g}")


def compare(n: int, d: int, near: bool) -> dict[str, dict[str, dict[str, float]]]:
    """Return the milliseconds of all solvers for an assignment, and how many times as fast ours is."""
    parts = PROBLEMS[n, d]
    sources = [codes(n, d, "other codes", k) if near else noise(n, d, k) for k in range(parts)]
    pairs = [(x, codes(n, d, "codes", k)) for k, x in enumerate(sources)]
    found: dict[str, list[float]] = {}

    def solve(solver: Callable[[Tensor, Tensor], np.ndarray]) -> None:
        found[solver.__name__] = [float((x.double() - y[solver(x, y)]).square().sum()) for x, y in pairs]

    spent = turns({solver.__name__: partial(solve, solver) for solver in (ours, scipy, pot)}, parts)
    np.testing.assert_allclose(found["ours"], found["scipy"], rtol=1e-9)
    np.testing.assert_allclose(found["ours"], found["pot"], rtol=1e-9)
    fast = {name: {u: digits(spent[name][u] / spent["ours"][u]) for u in ("wall", "cpu")} for name in ("scipy", "pot")}
    return {"milliseconds": spent, "times_as_fast_as": fast}


def step() -> dict[str, dict[str, float]]:
    """Return the milliseconds of the parts of an OTgen step that draws as the codes are distributed."""
    z, p = codes(*STEP, "codes"), codes(*STEP, "other codes")
    f, w = CubeMap(STEP[1], 1.0), noise(*STEP)
    adam = f.adam(None)

    def network() -> None:
        adam.zero_grad()
        (f(w) - z).square().sum(dim=1).mean().backward()
        adam.step()

    network()  # allocates
    return turns({"assignment": partial(assign, p, z), "network forward, backward, Adam": network})


def main() -> None:
    """Measure and write the results."""
    torch.set_num_threads(1)
    ours(noise(64, 2), codes(64, 2, "codes"))  # loads the library
    problems = {
        f"n={n} d={d} {'near' if near else 'far'}": compare(n, d, near) for n, d in PROBLEMS for near in (False, True)
    }
    write(__file__, {"problems": problems, f"otgen step, batch {STEP[0]}, d={STEP[1]}": step()})


if __name__ == "__main__":
    main()
