"""Fixed random choices of rows: batches, splits and subsets, each a pure function of its seed; no torch is needed."""

import hashlib
from functools import lru_cache

import numpy as np


def numpy_generator(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """Return the NumPy generator of the ``index``-th draw for ``purpose``, as ``seeding.generator`` does for torch."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


@lru_cache(maxsize=4)
def _epoch(seed: int, count: int, epoch: int) -> np.ndarray:
    order = numpy_generator(seed, "epoch", epoch).permutation(count)
    order.flags.writeable = False
    return order


def batch_rows(seed: int, count: int, rows: int, step: int) -> np.ndarray:
    """Return the training rows of batch ``step``: int64 (rows,), each in [0, count).

    An epoch is one permutation of all rows, cut into batches; what is left at its end, less than a batch, is dropped,
    so that no row appears twice in an epoch. A set smaller than a batch holds no whole batch: its permutations are laid
    end to end, and within a batch the rows' counts differ by at most two.

    Args:
        seed: of the run.
        count: training images, at least 1.
        rows: rows in a batch, at least 1.
        step: 0 for the first batch.
    """
    if count >= rows:
        epoch, place = divmod(step, count // rows)
        return _epoch(seed, count, epoch)[place * rows : (place + 1) * rows].copy()
    first, last = step * rows, (step + 1) * rows
    epochs = range(first // count, (last - 1) // count + 1)
    joined = np.concatenate([_epoch(seed, count, epoch) for epoch in epochs])
    return joined[first - epochs[0] * count : last - epochs[0] * count]


def stratified_rows(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``count`` of the rows without repetition, each class in its share of the set to within one row.

    Args:
        labels: class of every row, (N,); all equal for a plain uniform draw.
        count: rows to draw, at most N.
        rng: source of the choice.

    Returns:
        Rows in random order, int64 (count,).
    """
    classes, sizes = np.unique(labels, return_counts=True)
    share = count * sizes / len(labels)
    take = np.floor(share).astype(int)
    take[np.argsort(take - share, kind="stable")[: count - take.sum()]] += 1  # largest remainders first
    chosen = [rng.permutation(np.flatnonzero(labels == c))[:k] for c, k in zip(classes, take, strict=True)]
    return rng.permutation(np.concatenate(chosen))


def held_out(labels: np.ndarray, count: int, purpose: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a fixed stratified split, (train, test), with ``count`` test rows; both in random order."""
    rng = numpy_generator(0, purpose)
    test = stratified_rows(labels, count, rng)
    return rng.permutation(np.setdiff1d(np.arange(len(labels)), test)), test
