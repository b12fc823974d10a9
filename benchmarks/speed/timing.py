"""What the speed measurements share: timing, peak memory, a process for each case, and one file for the results."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from latent_ot.bench.machine import cores, describe, versions
from latent_ot.files import write_atomic


def measure(call: Callable[[], Any], repeats: int = 3) -> tuple[dict[str, Any], Any]:
    """Return the cost of a call, medians over ``repeats``, and what it returns.

    The cost is {"seconds": wall time, "cpu_seconds": of all threads, "memory_mb": highest resident memory above what
    the process held before}; measure one case a process. Other work on the machine inflates the wall time but hardly
    the CPU time of a single thread.
    """
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak reached so far
    before, wall, busy, value = _memory("VmRSS"), [], [], None
    for _ in range(repeats):
        begin, used = time.perf_counter(), time.process_time()
        value = call()
        wall.append(time.perf_counter() - begin)
        busy.append(time.process_time() - used)
    seconds, cpu = (round(statistics.median(times), 3) for times in (wall, busy))
    memory = round(max(0.0, _memory("VmHWM") - before))
    return {"seconds": seconds, "cpu_seconds": cpu, "repeats": repeats, "memory_mb": memory}, value


def alone(script: str, *arguments: str) -> dict[str, Any]:
    """Run a case of a script in a process of its own and return the JSON object that it prints last."""
    command = [sys.executable, script, *arguments]
    print("measuring", *arguments, file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def environment() -> dict[str, Any]:
    """Return the machine, its load at this moment and the versions that a measurement was made with."""
    machine = describe(torch.device("cpu")) | {"threads": torch.get_num_threads()}
    return {"machine": machine, "load": round(os.getloadavg()[0] / cores(), 2), "versions": versions()}


def write(script: str, results: dict[str, Any]) -> None:
    """Print the results and write them beside the script (metrics.py -> metrics.json), whole or not at all."""
    text = json.dumps(environment() | results, indent=1, sort_keys=True) + "\n"
    write_atomic(Path(script).with_suffix(".json"), text.encode())
    print(text, end="")


def _memory(field: str) -> float:
    """Return a memory figure of this process in MB (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"/proc/self/status has no {field}")
