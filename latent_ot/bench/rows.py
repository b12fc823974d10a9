"""Training rows by index, on the device where they fit, and the batches of a training."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from latent_ot.datasets.order import batch_rows
from latent_ot.ranks import share
from latent_ot.stage import Batch, Stage, as_float

RESIDENT_BYTES = 4 << 30  # larger sets stay in their memory-mapped file and are gathered there


class Rows:
    """Training rows by index: float32 batches in [0, 1] for images, as they are for points and codes."""

    def __init__(self, array: np.ndarray | Tensor, device: torch.device) -> None:
        self.resident = not isinstance(array, np.memmap) or array.nbytes <= RESIDENT_BYTES
        self.array = as_tensor(array).to(device) if self.resident else array
        self.device = device

    def __getitem__(self, index: np.ndarray) -> Batch:
        rows = torch.from_numpy(index).to(self.device)
        return Batch(rows, self.at(rows) if self.resident else as_float(self.read(index).to(self.device)))

    def at(self, index: Tensor) -> Tensor:
        """Return the rows at ``index`` (B,), int64 on the device, where all rows are ``resident`` there."""
        assert isinstance(self.array, Tensor)
        return as_float(self.array[index])

    def read(self, index: np.ndarray) -> Tensor:
        """Return the rows at ``index`` (B,) of a set that is not resident, on the CPU and as they are stored."""
        assert isinstance(self.array, np.ndarray)
        return as_tensor(self.array[index])


def rows_of(stage: Stage, step: int) -> np.ndarray:
    """Return the rows (B,) of a step's batch, those of all ranks."""
    return batch_rows(stage.spec.seed, stage.spec.count, stage.rows_per_step, step)


class Batches:
    """The batches of the steps still to do, this rank's rows of them: batch t is a pure function of (seed, t)."""

    def __init__(self, rows: Rows, stage: Stage) -> None:
        self.rows, self.stage = rows, stage

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.stage.step, self.stage.total_steps):
            yield self.at(step)

    def at(self, step: int) -> Batch:
        """Return the batch of a step."""
        rows = rows_of(self.stage, step)
        return self.rows[share(rows) if self.stage.batches(self.stage.config) else rows]


def as_tensor(array: np.ndarray | Tensor) -> Tensor:
    """Return images (N, H, W, C) as a tensor (N, C, H, W); anything of another rank as it is."""
    if isinstance(array, Tensor):
        return array
    array = np.ascontiguousarray(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array)
    return torch.from_numpy(array)
