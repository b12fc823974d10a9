"""What a result is made on, and what of that decides its bytes: threads, algorithms and device, whatever else.

A device is named by its model, beside versions and the commit: no user, host name or path.
"""

import os
import platform
import re
import resource
import subprocess
import warnings
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

STRAY = re.compile(
    "PL_.*"  # options of Lightning's trainer and its seeds
    "|(OMP|KMP|MKL|OPENBLAS|GOTO|BLIS|NUMEXPR|VECLIB)_(NUM_THREADS|MAXIMUM_THREADS|DYNAMIC(_THREADS)?|THREAD_LIMIT)"
    "|OMP_(SCHEDULE|NESTED|MAX_ACTIVE_LEVELS)|MKL_DOMAIN_NUM_THREADS|KMP_(ALL_THREADS|DEVICE_THREAD_LIMIT|SETTINGS)"
    "|NVIDIA_TF32_OVERRIDE|TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"
)
"""Variables that would change sums or a training behind a stage's key."""
STEADY = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""What makes matrix products on a GPU the same every time, as NVIDIA says; it has to be there before the first one."""
ARITHMETIC = {"float32": "without TF32", "algorithms": "deterministic", **STEADY}
"""How a GPU computes here, as ``be_deterministic`` sets it: a record says so. cuDNN's convolutions would round their
factors to TF32's ten bits if they were let, and a step on a GPU would be another one than on a CPU."""
PATHS = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE")
"""Variables that choose a processor's instructions: with them it is another machine, and a record says so."""
UNSTEADY = re.compile(
    r"(\S+) does not have a deterministic implementation|(.+) defaults to a non-deterministic algorithm"
    r"|.*not deterministic because it uses (CuBLAS)"
)
"""What torch says of an operation without a deterministic form: its name."""

RECORDED = ("latent_ot", "torch", "torchvision", "lightning", "numpy", "scikit-learn", "POT")


def describe(device: "torch.device") -> dict[str, str | int]:
    """Return the device's model, the number of CPU cores that this process may use, and how a GPU computes."""
    told: dict[str, str | int] = {"device": cpu_model(), "cores": cores()}
    if device.type == "cuda":
        import torch

        told |= {"device": torch.cuda.get_device_name(device), **ARITHMETIC}
    chosen = ", ".join(f"{key}={os.environ[key]}" for key in PATHS if os.environ.get(key))
    return {**told, **({"instructions": chosen} if chosen else {})}


def apart(made: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """Tell a run's machine from those of its stages, each as ``describe`` has it, empty of a stage that has no result.

    Returns:
        The last that there is; and of each stage its own, or nothing of any where it is one and the same.
    """
    last: Mapping[str, Any] = next((machine for machine in reversed(made) if machine), {})
    same = all(machine == last for machine in made if machine)
    return last, [{} if same else machine for machine in made]


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settle(environ: MutableMapping[str, str]) -> None:
    """Take out of an environment what would change results (``STRAY``), and put in what steadies them (``STEADY``)."""
    for name in [name for name in environ if STRAY.fullmatch(name)]:
        del environ[name]
    environ.update(STEADY)


@contextmanager
def settled() -> Iterator[None]:
    """Settle the environment for processes that are started meanwhile: some libraries read it when they are loaded."""
    before = dict(os.environ)
    settle(os.environ)
    try:
        yield
    finally:
        for name in STEADY:
            os.environ.pop(name, None)
        os.environ.update(before)


def leave_out_gpus(device: "torch.device", environ: MutableMapping[str, str]) -> None:
    """Hide GPUs from a process that works on a CPU: torch looks for them at each step of an optimizer, 0.05 ms long."""
    if device.type == "cpu":
        environ["CUDA_VISIBLE_DEVICES"] = ""


def limit_threads(count: int) -> None:
    """Let every library that shares work among threads take so many: sums, hence results, depend on it."""
    import torch
    from threadpoolctl import threadpool_limits

    os.environ["OMP_NUM_THREADS"] = str(count)  # for libraries that are loaded later
    threadpool_limits(count)
    torch.set_num_threads(count)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let work in this process take so many threads meanwhile, as ``limit_threads`` does for good."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def be_deterministic() -> dict[str, None]:
    """Let torch take the deterministic form of every operation that has one, and settle the environment.

    Returns:
        The names of operations that were met and have none; it grows while work goes on.
    """
    import torch

    settle(os.environ)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing here reads it
    met: dict[str, None] = {}
    shown = warnings.showwarning

    def show(message: Warning | str, *args: Any, **kwargs: Any) -> None:
        found = UNSTEADY.match(str(message))
        if found is None:
            shown(message, *args, **kwargs)
        else:
            met[next(filter(None, found.groups()))] = None

    warnings.showwarning = show
    warnings.filterwarnings("default", message=UNSTEADY.pattern)
    return met


@cache
def cpu_model() -> str:
    """Return the processor's model name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
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


def memory_mb(device: "torch.device") -> int:
    """Return the memory in MiB that the process holds now; on a GPU what its tensors take there."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.memory_allocated(device) / 2**20)
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return peak_memory_mb(device)
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


def gpu_room(device: "torch.device") -> dict[str, int]:
    """Return the MiB that are free on a GPU, and the most that this process has taken there; nothing of a CPU."""
    if device.type != "cuda":
        return {}
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return {"free_mb": free >> 20, "peak_mb": torch.cuda.max_memory_reserved(device) >> 20}


def peak_memory_mb(device: "torch.device") -> int:
    """Return the process's largest resident memory in MiB; on a GPU the largest that its tensors took there."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device) / 2**20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / (1024 if platform.system() != "Darwin" else 2**20))
