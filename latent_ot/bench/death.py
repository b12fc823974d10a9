"""Why a process ended without a word."""

import signal
from pathlib import Path


def death(code: int | None, kills: int, who: str = "the worker") -> str:
    """Say why a process ended, by its exit code and what ``oom_kills`` was when it began."""
    if code is None or code >= 0:
        return f"{who} was killed or ended itself (exit code {code}); run again to resume"
    name = signal.Signals(-code).name
    if name == "SIGKILL" and oom_kills() > kills:
        return f"out of memory: the system killed {who}; run again to resume, or with fewer --workers"
    if name == "SIGKILL":
        return f"{who} was killed (SIGKILL; out of memory?); run again to resume"
    return f"{who} was killed ({name}); run again to resume"


def full(error: BaseException) -> str | None:
    """Say in a line that an error is of a memory that is full, and what helps; None of another error."""
    import torch

    told = " ".join(str(error).split())
    on_gpu = isinstance(error, torch.OutOfMemoryError)
    if not on_gpu and not isinstance(error, MemoryError) and "not enough memory" not in told:
        return None
    lines = ". ".join(told.split(". ")[: 2 if on_gpu else 1]).rstrip(".")
    what = "a GPU's memory is full" if on_gpu else "the machine's memory is full"
    return f"out of memory: {what} ({lines}); run again with fewer --workers, or smaller batches by --set"


def oom_kills() -> int:
    """Return how many processes this machine has killed for want of memory since it started, as far as it says so."""
    try:
        counts = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counts.get("oom_kill", 0))
