"""Every random draw comes from a generator that is a pure function of (run seed, purpose, index)."""

import hashlib

import torch


def derive(seed: int, purpose: str, index: int = 0) -> int:
    """Return a 63-bit seed for the ``index``-th draw made for ``purpose`` in the run with this ``seed``."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """Return a CPU generator; draws are made on the CPU and moved, so that they are equal on every device."""
    return torch.Generator().manual_seed(derive(seed, purpose, index))


def seed_layers(seed: int) -> None:
    """Seed what layers draw from, on the CPU and on every GPU in use.

    ``torch.manual_seed`` does the same and formats stack traces on the way, which take most of a millisecond.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # whether one is available takes as long again to find out
        torch.cuda.manual_seed_all(seed)
