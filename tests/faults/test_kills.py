"""SIGKILL at random times over trainings, an evaluation and a publication: what remains ends with the same bytes.

LATENT_OT_KILLS says how many kills there are in all (60). Some hit all processes at once, as a power cut does, some the
command alone, some one of its workers, as the OOM killer does.
"""

import os
import random
import shutil
import signal
import time

import pytest
from faults.commands import Bench, difference, outcome

KILLS = int(os.environ.get("LATENT_OT_KILLS", "60"))


def board(folder):
    """Return all that is published: name -> bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Work:
    """A command that is killed and run again. ``start``: puts the store in place; ``result``: what it came to."""

    def __init__(self, folder, words, before=(), result=None):
        self.folder, self.words, self.before = folder, words, before
        self.result = result or (lambda bench: outcome(bench.store))
        self.kills, self.finished, self.bench = 0, 0, None
        ready = self._fresh("ready")
        for given in self.before:
            assert ready.start(*given(ready)).end().code == 0
        self.ready = ready
        whole, began = self._copy("whole"), time.monotonic()
        assert whole.start(*self.words(whole)).end().code == 0
        self.seconds = time.monotonic() - began
        self.wanted = self.result(whole)
        assert self.wanted

    def _fresh(self, name):
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return Bench(folder, None, None)

    def _copy(self, name):
        found = self._fresh(name)
        shutil.copytree(self.ready.folder, found.folder, dirs_exist_ok=True)
        return found

    def kill(self, draw):
        """Start the command, or go on with it, and kill it at a random time, unless it ends before."""
        if self.bench is None:
            self.bench = self._copy("broken")
        command = self.bench.start(*self.words(self.bench))
        until, whom = time.monotonic() + draw.uniform(0.0, self.seconds), draw.choice(("all", "command", "worker"))
        while command.process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        if command.process.poll() is not None:
            return self.compare(command)
        self.kills += 1
        workers = [pid for pid, line in command.processes() if pid != command.pid and "resource_tracker" not in line]
        if whom == "worker" and workers:
            os.kill(draw.choice(workers), signal.SIGKILL)
            return self.compare(command, broken=True)
        command.send(signal.SIGKILL, group=whom == "all")
        command.end(grace=60.0)
        return None

    def compare(self, command, broken=False):
        """Wait for the command's end, and compare what it came to where it came to its end."""
        ended = command.end()
        assert "Traceback" not in ended.err, ended
        assert ended.left == (), ended
        if broken and ended.code == 1:  # a row that says so; the next command goes on
            return
        assert ended.code == 0, ended
        assert difference(self.result(self.bench), self.wanted) == []
        self.finished, self.bench = self.finished + 1, None

    def end(self):
        """Run to the end, undisturbed, what is begun."""
        if self.bench is not None:
            self.compare(self.bench.start(*self.words(self.bench)))


@pytest.mark.slow
def test_whatever_is_killed_ends_with_the_same_bytes(tmp_path_factory):
    def train(method):
        return lambda bench: bench.small(method)

    folder = tmp_path_factory.mktemp("kills")
    ci = ("--dataset", "digits", "--budget", "ci")
    works = {name: Work(folder / name, train(name)) for name in ("gldo", "wgan_gp", "ae_ot_gan")}
    works["evaluation"] = Work(
        folder / "evaluation", train("ae+sdot"), [lambda bench: bench.small("ae+sdot", name="train")]
    )
    works["publication"] = Work(
        folder / "publication",
        lambda bench: ["publish", *ci, "--store", str(bench.store), "--leaderboards", str(bench.folder / "boards")],
        [lambda bench: ["bench", *ci, "--methods", "pca", "--store", str(bench.store)]],
        lambda bench: board(bench.folder / "boards"),
    )
    draw, begun = random.Random(0), time.monotonic()
    while sum(work.kills for work in works.values()) < KILLS:
        min(works.values(), key=lambda work: work.kills).kill(draw)
    for work in works.values():
        work.end()
    assert all(work.finished for work in works.values())
    for name, work in works.items():
        print(f"{name}: {work.kills} kills, {work.finished} ends with the same bytes, {work.seconds:.1f} s undisturbed")
    print(f"{KILLS} kills in {time.monotonic() - begun:.0f} s")
