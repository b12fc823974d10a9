"""Commands at which faults happen, in this process or in one of their own, and what they came to."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from faults.inject import injector

from latent_ot.bench import worker
from latent_ot.bench.executors import local
from latent_ot.bench.executors.base import refuse

INJECT = Path(__file__).parent / "inject"
ROOT = Path(__file__).parents[2]
PATIENCE = 1800.0  # seconds, after which a command hangs: a busy machine takes minutes to import what it needs
SMALL = ("--dataset", "digits", "--budget", "smoke")
LINE = "stopped; run the same command again to go on"


@dataclass(frozen=True)
class Ended:
    """How a command ended. ``left``: the processes of its session that outlived it."""

    code: int
    out: str
    err: str
    left: tuple[str, ...] = ()

    def assert_stopped(self):
        """One line says how to go on, nothing else is left: no traceback, no process."""
        assert self.code == 130, self
        assert self.err.count(LINE) == 1, self
        assert "Traceback" not in self.err, self
        assert "Exception ignored" not in self.err, self
        assert "Error" not in self.err, self
        assert self.left == (), self


class Command:
    """A command at work, in a session of its own."""

    def __init__(self, words, cwd, env):
        self.words = words
        command = [sys.executable, "-m", "latent_ot", *words]
        self.files = [cwd / "out.txt", cwd / "err.txt"]
        with self.files[0].open("w") as out, self.files[1].open("w") as err:
            self.process = subprocess.Popen(
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )

    @property
    def pid(self):
        return self.process.pid

    def send(self, number, group=False):
        """Send a signal, to the command or to all of its processes, if it has not ended yet."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def processes(self):
        """Return (pid, command line) of the processes of its session that live."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.pid and state not in "ZX":
                    found.append((int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")))
        return found

    def end(self, seconds=PATIENCE, grace=30.0):
        """Wait for its end, and a moment for that of what it started; what stays is killed, and told."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            raise
        until = time.monotonic() + grace
        while (left := self.processes()) and time.monotonic() < until:
            time.sleep(0.02)
        for pid, _ in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return Ended(code, *(path.read_text() for path in self.files), tuple(line for _, line in left))


class Bench:
    """Commands in a folder, with a store of its own; ``small`` is what a small benchmark of digits is asked by."""

    def __init__(self, folder, monkeypatch, capfd):
        self.folder, self.monkeypatch, self.capfd = folder, monkeypatch, capfd
        self.store, self.data = folder / "runs", folder / "data"

    def small(self, *methods, name="bench", more=()):
        asked = ("--methods", ",".join(methods)) if name in ("bench", "publish") else methods
        return [name, *asked, *SMALL, "--store", str(self.store), "--data-dir", str(self.data), *more]

    def marked(self, fault):
        return replace(fault, mark=fault.mark or str(self.folder / "happened"))

    @property
    def happened(self):
        """Whether the fault of the last command came about."""
        return (self.folder / "happened").exists()

    def start(self, *words, fault=None, env=()):
        """Start a command in a process of its own; return it at work."""
        (self.folder / "happened").unlink(missing_ok=True)
        path = [str(ROOT), *([str(INJECT)] if fault else []), *filter(None, [os.environ.get("PYTHONPATH")])]
        given = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1", **dict(env)}
        if fault:
            given["LATENT_OT_FAULT"] = self.marked(fault).written()
        return Command(words, self.folder, given)

    def run(self, *words, fault=None):
        """Run a command in this process, to its end."""
        from latent_ot import cli

        (self.folder / "happened").unlink(missing_ok=True)
        self.monkeypatch.setattr(sys, "argv", ["latent-ot", *words])
        self.monkeypatch.chdir(self.folder)
        clock = time.time
        self.capfd.readouterr()
        injector.arm(fault and self.marked(fault))
        try:
            with pytest.raises(SystemExit) as stop:
                cli.main()
        finally:
            injector.arm(None)
            time.time = clock
        return Ended(stop.value.code, *self.capfd.readouterr())


TIMES = ("seconds", "wall_seconds", "peak_memory_mb", "machine", "checksum", "sum", "commit", "versions")


def outcome(store):
    """Return what a store's runs came to, name -> bytes of weights, codes and pictures, or figures without times."""
    found = {}
    for path in sorted([*(store / "results").glob("*.json"), *store.glob("stages/*/result.json")]):
        told = json.loads(path.read_text())
        found[str(path.relative_to(store))] = {key: value for key, value in told.items() if key not in TIMES}
    for path in sorted(store.glob("stages/*/**/*")):
        if path.suffix in (".safetensors", ".png", ".jsonl"):
            found[str(path.relative_to(store))] = path.read_bytes()
    return found


def difference(found, wanted):
    """Return the names of what is not the same in two outcomes."""
    return sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))


class Here(local.Local):
    """Runs stages in this process, where a fault of the disk meets them."""

    def run(self, stages, display):
        self._reuse(stages, display)
        ends = self.ends
        for stage in stages:
            if stage.name not in ends:
                try:
                    end = worker._claimed(self.order(stage, ("cpu",)), worker.Line(None))
                except OSError as error:
                    end = {"end": worker.UNWRITABLE, "reason": str(error)}
                ends[stage.name] = end["end"], end.get("reason")
                refuse(ends)
        return ends
