"""What a result was made on: a device by its model, versions, the commit. No user, host name or path."""

import os
import platform
import resource
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

RECORDED = ("latent_ot", "torch", "torchvision", "lightning", "numpy", "scikit-learn", "POT")


def describe(device: "torch.device") -> dict[str, str | int]:
    """Return the device's model and the number of CPU cores that this process may use."""
    if device.type == "cuda":
        import torch

        name = torch.cuda.get_device_name(device)
    else:
        name = cpu_model()
    return {"device": name, "cores": cores()}


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def cpu_model() -> str:
    """Return the processor's model name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if name == "latent_ot":
                from latent_ot._version import __version__

                found[name] = __version__
    return found


@cache
def commit() -> str | None:
    """Return the commit that the package was run from (``+`` marks uncommitted source), or None outside a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True)
        dirty = subprocess.run(["git", "status", "--porcelain", "latent_ot"], cwd=root, capture_output=True, text=True)
    except OSError:
        return None
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "") if head.returncode == 0 else None


def peak_memory_mb(device: "torch.device") -> int:
    """Return the process's largest resident memory in MiB; on a GPU the largest that its tensors took there."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device) / 2**20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / (1024 if platform.system() != "Darwin" else 2**20))
