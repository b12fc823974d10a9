"""Exit codes have one home, README and every command's help say them, and every end of a command has its own."""

import contextlib
import multiprocessing
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from faults.inject.injector import Fault

from latent_ot import cli, inventory
from latent_ot.bench import worker
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.executors import local
from latent_ot.bench.request import Request
from latent_ot.errors import EXIT_CODES, InputError, RunFailed, StoreError
from latent_ot.interrupts import EXIT, STOPPED
from latent_ot.published import load_table

README = Path(__file__).parents[2] / "README.md"


def test_readme_and_help_say_them(bench):
    text = " ".join(README.read_text().split())
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in text
    told = " ".join(re.sub(r"[│╭╮╰╯─]", " ", bench.run("--help").out + bench.run("train", "--help").out).split())
    for code, meaning in EXIT_CODES.items():
        assert told.count(f"{code} {meaning}") == 2


@pytest.mark.parametrize(
    ("statuses", "code"),
    [(["done"], 0), (["done", "declined"], 0), (["done", "failed"], 1), (["diverged", "done"], 1), (["failed"], 1)],
)
def test_a_bench_exits_1_where_some_run_failed_or_diverged(statuses, code):
    if code == 0:
        cli.conclude(False, statuses)
        return
    with pytest.raises(typer.Exit) as end:
        cli.conclude(False, statuses)
    assert end.value.exit_code == code


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("seeds 'x'"), 2, "latent-ot: seeds 'x'\n"),
        (RunFailed("glo: diverged"), 1, "latent-ot: glo: diverged\n"),
        (StoreError("store 'runs'"), 3, "latent-ot: store 'runs'\n"),
        (OSError(28, "No space left on device", "out.png"), 3, "latent-ot: out.png: No space left on device\n"),
        (KeyboardInterrupt(), EXIT, f"{STOPPED}\n"),
    ],
)
def test_every_end_is_one_line_and_its_code(error, code, line, bench, monkeypatch):
    def fail(catalog):
        raise error

    monkeypatch.setattr(inventory, "inventory", fail)
    ended = bench.run("list")
    assert (ended.code, ended.out, ended.err) == (code, "", line)
    assert code in EXIT_CODES


def test_a_disk_that_fails_in_a_command_is_exit_code_3(bench):
    load_table.cache_clear()  # another test may have read it
    ended = bench.run("table", "gldo-table1", fault=Fault("open", r"gldo-table1\.yaml", "EIO"))
    assert bench.happened
    assert (ended.code, ended.err.count("\n"), "Traceback" in ended.err) == (3, 1, False)


class OneByOne(local.Local):
    """Runs each stage in this process, to its end."""

    def _start(self, stage, devices, wish):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        theirs.send(worker._claimed(self.order(stage, devices), worker.Line(theirs)))
        theirs.close()
        return ours, SimpleNamespace(join=lambda: None)


@pytest.mark.parametrize(("name", "stages"), [("bench", 5), ("train", 2)])
def test_what_is_left_to_other_commands_has_not_failed(name, stages, bench, monkeypatch):
    monkeypatch.setattr(local, "Local", OneByOne)
    there = Benchmark(Request("digits", ["pca"], [0], "smoke", bench.data, bench.store))
    with contextlib.ExitStack() as others:
        for stage in {stage.name for plan in there.plan() for stage in plan.stages}:
            assert others.enter_context(there.store.claim(stage))
        ended = bench.run(*bench.small("pca", name=name, more=("--exit-when-busy",)))
    assert (ended.code, ended.out) == (0, "")
    assert f"{stages} of {stages} stages are left to other commands that work on them\n" in ended.err
