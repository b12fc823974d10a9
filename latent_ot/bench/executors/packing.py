"""How many runs share a GPU: one more, as long as the memory that the others take leaves room and cores are free.

A small network leaves most of a GPU idle, which several runs fill together. What a run takes is not known before it has
taken its first steps, so runs begin one by one, each once those that are there have told what they take. One that fills
the memory all the same begins again with one fewer (``Local``).
"""

import time
from collections.abc import Mapping
from typing import Any

SETTLED = 5.0  # seconds of steps after which a run has taken what it takes
ROOM = 1.5  # times the largest run, which must be free for one more: a later stage may be larger, and scoring is
CONTEXT_MB = 1024  # of a process on a GPU beside its tensors


class Packing:
    """Watches what the runs of GPUs take.

    ``most``: runs that the cores admit, of all GPUs together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.begun: dict[str, float] = {}  # run -> when it first told of steps
        self.told: dict[str, Mapping[str, Any]] = {}

    def hear(self, run: str, message: Mapping[str, Any]) -> None:
        """Take what a run reports: with "free_mb" of its GPU, and "peak_mb" that it took, once it takes steps."""
        if "free_mb" in message and message.get("done"):
            self.begun.setdefault(run, time.monotonic())
            self.told[run] = message

    def forget(self, run: str) -> None:
        """A run has ended."""
        self.begun.pop(run, None)
        self.told.pop(run, None)

    def another(self, here: list[str], all_runs: int) -> str | None:
        """Say why a GPU with these runs takes one more, of so many in all; None: it does not, or not yet."""
        now = time.monotonic()
        settled = all(run in self.begun and now - self.begun[run] >= SETTLED for run in here)
        if not here or all_runs >= self.most or not settled:
            return None
        peak, free = (pick(self.told[run][key] for run in here) for pick, key in ((max, "peak_mb"), (min, "free_mb")))
        if free < ROOM * peak + CONTEXT_MB:
            return None
        return f"each takes up to {peak:,} MiB of its memory, of which {free:,} are free"
