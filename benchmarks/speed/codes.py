"""What moving the whole table of codes costs beside a step of the network that decodes them.

`python benchmarks/speed/codes.py`: one thread, CPU time of a step in the median. The table's part is torch's fused Adam
over all rows, and the projection of all rows onto the sphere; the step is GLO's at the papers' batch and full width,
table included. Above a tenth of the step a row's missed moves would have to be made up when it is met again.
"""

import sys
import time
from collections.abc import Callable
from itertools import cycle
from statistics import median

import torch
from timing import write
from torch.nn import functional as F

from latent_ot.methods._codes import CodeTable
from latent_ot.methods.glo import Glo, GloConfig
from latent_ot.stage import Spec

BATCH, STEPS, LEAST = 64, 12, 5
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


def case(count: int, d: int, shape: tuple[int, int, int]) -> dict[str, float]:
    """Measure one table, and the network's part of a step with it."""
    table = CodeTable(F.normalize(torch.randn(count, d), dim=1))
    adam = torch.optim.Adam([table.codes], lr=1e-3, betas=(0.5, 0.999), fused=True)
    rows = cycle(torch.randperm(count).split(BATCH)[: LEAST * STEPS])
    project = lambda z: F.normalize(z, dim=1)  # noqa: E731
    of_table = cpu_ms(lambda: table.move(next(rows), torch.randn(BATCH, d), adam.step, project))
    network = Glo(GloConfig(latent_dim=d, batch_size=BATCH), Spec(shape, BATCH, BATCH)).G.train()
    weights = torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.5, 0.999), fused=True)
    x, z = torch.rand(BATCH, *shape), torch.randn(BATCH, d).requires_grad_()

    def step() -> None:
        weights.zero_grad()
        F.mse_loss(network(z), x).backward()
        weights.step()

    of_network = cpu_ms(step)
    share = of_table / (of_table + of_network)
    return {"table_ms": round(of_table, 2), "network_ms": round(of_network, 1), "share_of_step": round(share, 4)}


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
