"""What moving the table of codes costs beside a step of the network that decodes them.

`python benchmarks/speed/codes.py`: one thread, CPU time of a step in the median. The table's part is Adam and the
projection onto the sphere, of all rows by torch's fused Adam, and of the rows in motion, which the suite takes where a
table is large; the step is GLO's at the papers' batch, at full and half width, with the table's part that is taken.
"""

import sys
import time
from collections.abc import Callable
from itertools import cycle
from statistics import median

import torch
from timing import write
from torch.nn import functional as F

from latent_ot.methods._codes import LARGE, AdamInMotion, CodeTable
from latent_ot.methods.glo import Glo, GloConfig
from latent_ot.stage import Spec

BATCH, STEPS, MANY = 64, 12, 40
RATE, BETAS = 1e-3, (0.5, 0.999)
CASES = {  # (images, code length) -> image shape that it goes with
    (4_000, 100): (1, 32, 32),
    (60_000, 100): (1, 32, 32),
    (162_770, 256): (3, 128, 128),
}


def cpu_ms(step: Callable[[], object]) -> float:
    """Return the median CPU time of a step, in ms, after two that are not counted."""
    found = []
    for k in range(STEPS + 2):
        begin = time.process_time()
        step()
        if k > 1:
            found.append(1000 * (time.process_time() - begin))
    return median(found)


def table_ms(count: int, d: int, adam: Callable[[CodeTable], torch.optim.Optimizer]) -> float:
    """Measure a table's part of a step."""
    table = CodeTable(F.normalize(torch.randn(count, d), dim=1))
    optimizer, rows = adam(table), cycle(torch.randperm(count).split(BATCH)[:MANY])

    def step() -> None:
        table.move(next(rows), torch.randn(BATCH, d), optimizer, lambda z: F.normalize(z, dim=1))

    for _ in range(MANY):
        step()
    return cpu_ms(step)


def network_ms(d: int, shape: tuple[int, int, int], width: float) -> float:
    """Measure the network's part of a step."""
    network = Glo(GloConfig(latent_dim=d, batch_size=BATCH), Spec(shape, BATCH, BATCH, width)).G.train()
    weights = torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS, fused=True)
    x, z = torch.rand(BATCH, *shape), torch.randn(BATCH, d).requires_grad_()

    def step() -> None:
        weights.zero_grad()
        F.mse_loss(network(z), x).backward()
        weights.step()

    return cpu_ms(step)


def case(count: int, d: int, shape: tuple[int, int, int]) -> dict[str, float]:
    """Measure one table, and the network that goes with it."""
    found = {
        "all_rows_ms": table_ms(count, d, lambda t: torch.optim.Adam([t.codes], lr=RATE, betas=BETAS, fused=True)),
        "rows_in_motion_ms": table_ms(count, d, lambda t: AdamInMotion(t.codes, RATE, BETAS)),
    }
    taken = found["rows_in_motion_ms" if count * d > LARGE else "all_rows_ms"]
    for name, width in (("full", 1.0), ("half", 0.5)):
        found[f"network_{name}_width_ms"] = ms = network_ms(d, shape, width)
        found[f"share_{name}_width"] = taken / (taken + ms)
    return {name: float(f"{value:.3g}") for name, value in found.items()}


def main() -> None:
    """Measure every case and write the file."""
    torch.set_num_threads(1)
    found = {}
    for (count, d), shape in CASES.items():
        print(f"measuring {count} x {d}", file=sys.stderr, flush=True)
        found[f"{count} x {d}"] = {"images": list(shape), **case(count, d, shape)}
    write(__file__, {"tables": found})


if __name__ == "__main__":
    main()
