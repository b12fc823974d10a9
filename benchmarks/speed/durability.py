"""What it costs that a result, a checkpoint, weights and a record outlive a power cut: writing with and without fsync.

Files of the sizes that runs write, each replaced again and again in its folder as a training does, beside the training
between two checkpoints (``Order.checkpoint_seconds``).
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch
from timing import write

from latent_ot.bench.worker import Order
from latent_ot.files import write_atomic
from latent_ot.tensors import write_checkpoint

SIZES = {"record, 8 kB": 8_000, "weights of ci, 2 MB": 2_000_000, "checkpoint of ci, 6 MB": 6_000_000,
         "weights of paper, 40 MB": 40_000_000, "checkpoint of paper, 120 MB": 120_000_000}  # fmt: skip
REPEATS = 9


def milliseconds(path: Path, data: bytes, durable: bool) -> float:
    """Return the median time of one replacement."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        write_atomic(path, data, durable)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    """Time each size both ways, and a whole checkpoint beside the seconds between two."""
    found = {}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        for name, size in SIZES.items():
            data = torch.randint(0, 256, (size,), dtype=torch.uint8).numpy().tobytes()
            plain, durable = (milliseconds(Path(folder) / "file", data, way) for way in (False, True))
            found[name] = {"plain_ms": round(plain, 2), "durable_ms": round(durable, 2)}
        start = time.perf_counter()
        write_checkpoint(Path(folder) / "last.ckpt", {"model": torch.randn(1_500_000)})
        spent = time.perf_counter() - start
    share = spent / Order.checkpoint_seconds
    write(__file__, {"files": found, "checkpoint_6_mb": {"ms": round(1000 * spent, 2), "share": round(share, 5)}})


if __name__ == "__main__":
    main()
