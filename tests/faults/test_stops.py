"""A command that is told to stop says in one line how to go on, leaves no process, and goes on to the same bytes."""

import multiprocessing
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from driving import run
from faults.commands import PATIENCE, Bench, difference, outcome
from faults.inject.injector import Fault

from latent_ot import interrupts
from latent_ot.bench import death as deaths
from latent_ot.bench.death import death, full
from latent_ot.bench.executors import local, packing
from latent_ot.bench.executors.local import Local
from latent_ot.bench.executors.packing import Packing
from latent_ot.bench.rehearsal import refuse_broken
from latent_ot.bench.worker import Line
from latent_ot.interrupts import Wish, heeded
from latent_ot.methods.ae import Ae, AeConfig
from latent_ot.stage import Spec

LINE = f"{interrupts.STOPPED}\n"
SCRIPT = """
import sys, time
from pathlib import Path
from latent_ot import interrupts
from latent_ot.bench import death as deaths
interrupts.take()
with interrupts.passing(Path("part")) as part:
    part.mkdir()
    (part / "half").write_text("written")
    print("ready", flush=True)
    while True:
        time.sleep(60)
"""


def script(tmp_path, before="", **given):
    env = {**os.environ, "PYTHONPATH": str(Path(interrupts.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-c", before + SCRIPT], cwd=tmp_path, text=True, env=env, **given)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_each_signal_ends_a_command_by_one_line_and_what_it_was_writing_is_gone(name, tmp_path):
    process = script(tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    assert (tmp_path / "part" / "half").exists()
    for _ in range(3):
        process.send_signal(signal.Signals[name])
    assert (process.wait(PATIENCE), process.stderr.read()) == (130, LINE)
    assert list(tmp_path.iterdir()) == []


def test_a_command_under_nohup_outlives_the_terminal_and_hears_the_rest(tmp_path):
    ignoring = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    process = script(tmp_path, ignoring, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 130


def test_a_command_whose_terminal_closes_ends_though_it_can_say_nothing(tmp_path):
    ours, theirs = pty.openpty()
    process = script(
        tmp_path, "import os\nos.setsid()\nos.close(os.open(os.ttyname(2), os.O_RDWR))\n",
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    assert os.read(ours, 5) == b"ready"
    os.close(ours)
    assert process.wait(PATIENCE) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (Fault("import", "^typer", "SIGINT", "group"), ["claims"]),
        (Fault("import", "^pydantic", "SIGTERM", times=2), ["claims", "--json"]),
        (Fault("open", r"claims/.*\.yaml", "SIGHUP", "group"), ["claims"]),
        pytest.param(Fault("import", "^torch", "SIGINT"), ["list"], marks=pytest.mark.slow),
        pytest.param(Fault("import", "^pandas", "SIGINT"), ["leaderboard"], marks=pytest.mark.slow),
        pytest.param(Fault("open", r"README\.md", "SIGINT"), ["leaderboard"], marks=pytest.mark.slow),
        pytest.param(Fault("open", r"\.yaml", "SIGTERM"), ["show", "gldo"], marks=pytest.mark.slow),
        pytest.param(Fault("open", r"images\.npy", "SIGINT"), ["prepare", "digits"], marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_command_that_is_stopped_while_it_imports_reads_or_writes_says_how_to_go_on(point, words, bench):
    ended = bench.start(*words, fault=point).end()
    assert bench.happened
    ended.assert_stopped()
    assert [path for path in bench.folder.rglob("*") if path.suffix == ".part" or path.name.startswith(".")] == []


def test_two_signals_at_once_are_one_wish_and_a_later_one_is_a_second(monkeypatch):
    with heeded() as wish:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with heeded() as inner:
            assert inner is wish
        assert (wish.level, os.read(wish.bell, 9)) == (1, b".")
        monkeypatch.setattr(interrupts, "AGAIN_SECONDS", 0.0)
        os.kill(os.getpid(), signal.SIGHUP)
        assert wish.level == 2
    assert Wish.current is None
    assert signal.getsignal(signal.SIGINT) is not wish.heard


def test_work_in_another_thread_than_the_main_one_runs_though_it_hears_nothing():
    found = []

    def work():
        with heeded() as wish:
            found.append(wish.level)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [0]


class Shown:
    """A display that keeps what it is told."""

    def __init__(self):
        self.ends, self.said = {}, []

    def say(self, line):
        self.said.append(line)

    def start(self, name, label): ...

    def end(self, name, status, reason):
        self.ends[name] = status


def stages(*names, inputs=()):
    return [SimpleNamespace(name=name, label=name, inputs=inputs, devices=1) for name in names]


def executor(tmp_path):
    return Local(SimpleNamespace(result=lambda name: None), ["cpu"], lambda stage, devices: None)


def test_a_stage_waits_for_as_many_devices_as_it_takes_no_gpu_twice_and_smaller_ones_go_before(tmp_path, monkeypatch):
    given = []

    def start(self, stage, devices, wish):
        given.append((stage.name, devices, len(self.running)))
        ours, theirs = multiprocessing.Pipe(duplex=False)
        theirs.send({"end": "done"})
        theirs.close()
        return ours, SimpleNamespace(join=lambda: None)

    monkeypatch.setattr(Local, "_start", start)
    every = stages("one", "two", "three", "four")
    for stage, count in zip(every, (1, 2, 1, 2), strict=True):
        stage.devices = count
    shared = Local(SimpleNamespace(result=lambda name: None), ["cuda:0", "cuda:1", "cuda:0"], lambda *given: None)
    assert {*shared.run(every, Shown()).values()} == {("done", None)}
    assert given[:2] == [("one", ("cuda:0",), 0), ("two", ("cuda:1", "cuda:0"), 1)]
    assert [(name, len({*devices})) for name, devices, _ in sorted(given)] == [
        ("four", 2), ("one", 1), ("three", 1), ("two", 2),
    ]  # fmt: skip
    assert sorted(shared.free) == ["cuda:0", "cuda:0", "cuda:1"]


def test_a_gpu_whose_memory_is_full_takes_one_run_fewer_and_the_run_begins_again_once(tmp_path, monkeypatch):
    given = []

    def start(self, stage, devices, wish):
        given.append((stage.name, devices))
        ours, theirs = multiprocessing.Pipe(duplex=False)
        often = sum(name == stage.name for name, _ in given)
        bad = {"big": often < 2, "vast": True}.get(stage.name, False)
        theirs.send({"end": "failed", "reason": "out of memory", "full": True} if bad else {"end": "done"})
        theirs.close()
        return ours, SimpleNamespace(join=lambda: None)

    monkeypatch.setattr(Local, "_start", start)
    shared = Local(SimpleNamespace(result=lambda name: None), ["cuda:0"] * 3, lambda *given: None)
    shown = Shown()
    ends = shared.run(stages("big", "vast", "small"), shown)
    assert ends == {"big": ("done", None), "small": ("done", None), "vast": ("failed", "out of memory")}
    assert [name for name, _ in given].count("vast") == 2
    assert shared.free == ["cuda:0"]  # never none
    assert shown.said[0] == "big: out of memory; again, with 2 at most on cuda:0"
    alone = Local(SimpleNamespace(result=lambda name: None), ["cuda:0"], lambda *given: None)
    assert alone.run(stages("vast"), Shown()) == {"vast": ("failed", "out of memory")}


@pytest.mark.parametrize(
    ("peak", "free", "cores", "together"),
    [(500, 8000, 8, 4), (500, 8000, 2, 2), (5000, 8000, 8, 1), (500, 1700, 8, 1)],
)
def test_a_gpu_takes_as_many_runs_as_its_memory_and_the_cores_admit(peak, free, cores, together, monkeypatch):
    pipes, most = {}, []

    def start(self, stage, devices, wish):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        pipes[stage.name] = theirs
        most.append(1 + len(self.running))
        theirs.send({"done": 64, "free_mb": free, "peak_mb": peak})
        return ours, SimpleNamespace(join=lambda: None)

    def update(name, state):  # once all have begun that may, they end
        if most[-1] == together:
            for told in pipes.values():
                if not told.closed:
                    told.send({"end": "done"})
                    told.close()
        elif not pipes[name].closed:
            pipes[name].send(state)

    monkeypatch.setattr(Local, "_start", start)
    monkeypatch.setattr(packing, "SETTLED", 0.0)
    shown = Shown()
    shown.update = update
    shared = Local(SimpleNamespace(result=lambda name: None), ["cuda:0"], lambda *given: None, packing=Packing(cores))
    assert {*shared.run(stages("one", "two", "three", "four"), shown).values()} == {("done", None)}
    assert max(most) == together
    assert len(shown.said) == together - 1
    said = f"cuda:0 takes 2 runs side by side: each takes up to {peak} MiB of its memory, of which {free:,} are free"
    assert shown.said[:1] == ([said] if together > 1 else [])


def test_a_run_counts_once_it_has_taken_steps_for_a_while(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(packing.time, "monotonic", lambda: clock[0])
    watched = Packing(8)
    watched.hear("one", {"free_mb": 9000, "peak_mb": 10})  # it has not begun
    assert watched.another(["one"], 1) is None
    watched.hear("one", {"free_mb": 9000, "peak_mb": 10, "done": 64})
    assert watched.another(["one"], 1) is None
    clock[0] += packing.SETTLED
    assert watched.another(["one"], 1)
    assert watched.another(["one", "two"], 2) is None
    assert watched.another([], 0) is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of 79 GiB."),
            "out of memory: a GPU's memory is full (CUDA out of memory. Tried to allocate 2.00 GiB); run again with "
            "fewer --workers, or smaller batches by --set",
        ),
        (MemoryError("Unable to allocate 9 GiB"), "out of memory: the machine's memory is full (Unable to allocate"),
        (RuntimeError("[enforce] DefaultCPUAllocator: not enough memory: you tried"), "out of memory: the machine's"),
        (RuntimeError("something else"), None),
    ],
)
def test_a_memory_that_is_full_is_one_line_with_what_helps(error, said):
    assert (full(error) or "").startswith(said) if said else full(error) is None


def test_stages_whose_worker_cannot_be_started_are_rows_that_say_so(tmp_path, monkeypatch):
    def start(self, stage, devices, wish):
        raise EOFError

    monkeypatch.setattr(Local, "_start", start)
    shown = Shown()
    ends = executor(tmp_path).run([*stages("one", "two"), *stages("three", inputs=("one",))], shown)
    assert set(ends.values()) == {("failed", "its worker could not be started (EOFError)")}
    assert shown.ends == {"one": "failed", "two": "failed", "three": "skipped"}


@pytest.mark.parametrize("when", ["before the first answer", "after it"])
def test_a_wish_while_a_worker_starts_ends_all_stages_as_stopped(when, tmp_path, monkeypatch):
    def start(self, stage, devices, wish):
        os.kill(os.getpid(), signal.SIGINT)
        assert wish.level == 1
        if when == "before the first answer":
            raise EOFError  # the server of workers was killed
        ours, theirs = multiprocessing.Pipe(duplex=False)
        theirs.close()
        return ours, SimpleNamespace(pid=2**22 + 1, exitcode=-9, join=lambda: None, kill=lambda: None)

    monkeypatch.setattr(Local, "_start", start)
    ends = executor(tmp_path).run(stages("one", "two"), Shown())
    assert ends == {"one": ("stopped", None), "two": ("stopped", None)}


@pytest.mark.parametrize(
    ("code", "kills", "said"),
    [
        (-signal.SIGKILL, 4, "out of memory: the system killed the worker"),
        (-signal.SIGKILL, 5, "the worker was killed (SIGKILL; out of memory?)"),
        (-signal.SIGSEGV, 4, "the worker was killed (SIGSEGV)"),
        (9, 5, "the worker was killed or ended itself (exit code 9)"),
    ],
)
def test_how_a_worker_died_is_said(code, kills, said, monkeypatch):
    monkeypatch.setattr(deaths, "oom_kills", lambda: 5)
    assert death(code, kills).startswith(said)
    assert "run again to resume" in death(code, kills)


def test_a_worker_ends_where_it_is_but_for_the_steps_of_a_training(monkeypatch):
    sent, ends = [], []
    monkeypatch.setattr(os, "_exit", ends.append)
    line = Line(SimpleNamespace(send=sent.append))
    with line.steps():
        line.asked()
    assert (line.should_stop(), sent, ends) == (True, [], [])
    line.asked()
    assert (sent, ends) == ([{"end": "stopped"}], [0])
    line.sending = True  # in the midst of a message: the end of the line says it
    line.asked()
    assert (len(sent), ends) == (1, [0, 0])


CLUSTER = {
    "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_NNODES": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_NODELIST": "a[1-2]",
    "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "GROUP_RANK": "1", "NODE_RANK": "1", "MASTER_ADDR": "nowhere",
    "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "x", "JSM_NAMESPACE_RANK": "2", "PL_TRAINER_MAX_EPOCHS": "3",
    "PL_TRAINER_PRECISION": "bf16", "PL_GLOBAL_SEED": "9",
}  # fmt: skip


def test_a_launchers_variables_change_nothing_in_a_training(tmp_path, monkeypatch):
    images = (torch.rand(40, 8, 8, 1) * 255).byte().numpy()

    def trained(name):
        torch.manual_seed(0)
        stage = Ae(AeConfig.build({"latent_dim": 2}, "ae"), Spec((1, 8, 8), 40, 128, 0.1))
        run(stage, images, tmp_path / name)
        return (tmp_path / name / "model.safetensors").read_bytes()

    alone = trained("alone")
    for name, value in CLUSTER.items():
        if not name.startswith("PL_"):  # which a worker does not see
            monkeypatch.setenv(name, value)
    assert trained("launched") == alone


def test_workers_do_not_see_a_launchers_variables(monkeypatch):
    for name, value in CLUSTER.items():
        monkeypatch.setenv(name, value)
    with local._no_launcher():
        assert not set(CLUSTER) & set(os.environ)
        assert "PATH" in os.environ
    assert CLUSTER.items() <= os.environ.items()


@pytest.mark.skipif(not Path("/proc").exists(), reason="no /proc tells of a process")
def test_whoever_first_needs_workers_has_them_out_of_reach_and_in_a_settled_environment(monkeypatch):
    interrupts.end_server()
    for name, value in {**CLUSTER, "NVIDIA_TF32_OVERRIDE": "1"}.items():
        monkeypatch.setenv(name, value)
    refuse_broken([], [])  # a rehearsal comes before any stage
    about = Path("/proc") / str(interrupts.server())
    blocked = int(re.search(r"SigBlk:\s*(\w+)", (about / "status").read_text())[1], 16)
    assert all(blocked >> (s - 1) & 1 for s in interrupts.SIGNALS)
    until = time.monotonic() + 30
    while not (environ := (about / "environ").read_text()) and time.monotonic() < until:
        time.sleep(0.01)  # the kernel shows it a moment after the program is started
    seen = {entry.partition("=")[0] for entry in environ.split("\0")}
    assert not seen & {*CLUSTER, "NVIDIA_TF32_OVERRIDE"}
    assert "PATH" in seen


STOPS = [
    Fault("import", "^lightning", "SIGINT", "group"),
    Fault("open", r"ae-.*log\.txt", "SIGINT", "group"),
    Fault("os.rename", r"last\.ckpt", "SIGTERM", "group"),
    Fault("os.rename", r"codes\.safetensors", "SIGHUP", "group", times=2),
    Fault("open", r"reconstructions\.png", "SIGTERM"),
    Fault("open", r"evaluate.*samples\.png", "SIGINT", "group"),
    Fault("open", r"fid-.*\.json", "SIGHUP", "group"),
    Fault("os.rename", r"evaluate.*result\.json", "SIGINT", "group"),
    Fault("open", r"results/.*\.json", "SIGINT", "group", times=2),
    Fault("open", r"README\.md", "SIGTERM"),
    Fault("open", r"figures", "SIGINT"),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    whole = Bench(tmp_path_factory.mktemp("whole"), None, None)
    assert whole.start(*whole.small("ae+gaussian")).end().code == 0
    return outcome(whole.store)


@pytest.mark.slow
@pytest.mark.parametrize("point", STOPS, ids=lambda point: f"{point.does} at {point.about}")
def test_a_bench_that_is_stopped_at_any_point_goes_on_to_the_same_bytes(point, bench, undisturbed):
    ended = bench.start(*bench.small("ae+gaussian"), fault=point).end()
    assert bench.happened
    ended.assert_stopped()
    assert [*bench.folder.rglob("*.part")] == []
    assert bench.start(*bench.small("ae+gaussian")).end().code == 0
    assert difference(outcome(bench.store), undisturbed) == []


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 2.0, 4.0, 6.0, 8.0])
def test_a_bench_that_is_stopped_in_its_first_seconds_ends_at_once(seconds, bench):
    command = bench.start(*bench.small("ae+gaussian"))
    time.sleep(seconds)
    command.send(signal.SIGINT, group=True)
    command.end().assert_stopped()
    assert [*bench.store.glob("results/*ae+gaussian*")] == []  # it did not first do what it was asked to stop doing


@pytest.mark.slow
def test_the_training_of_an_evaluator_is_stopped_and_leaves_no_weights(bench):
    command = bench.start("train-evaluator", "digits", "--out", "weights", "--data-dir", str(bench.data))
    until = time.monotonic() + 120
    while "epoch 1/" not in command.files[1].read_text() and time.monotonic() < until:
        time.sleep(0.05)
    command.send(signal.SIGTERM, group=True)
    command.end().assert_stopped()
    assert [*bench.folder.glob("weights/*")] == []


@pytest.mark.slow
def test_a_launchers_variables_change_nothing_in_a_bench(bench, undisturbed):
    assert bench.start(*bench.small("ae+gaussian"), env=CLUSTER.items()).end().code == 0
    assert difference(outcome(bench.store), undisturbed) == []


@pytest.mark.slow
def test_a_killed_worker_is_a_row_and_exit_code_1_and_the_same_command_resumes(bench, undisturbed):
    killed = Fault("os.rename", r"evaluate.*samples\.png|ae-.*metrics|ae-.*model\.safetensors", "SIGKILL", "self")
    ended = bench.start(*bench.small("ae+gaussian"), fault=killed).end()
    assert bench.happened
    assert ended.code == 1
    assert "killed (SIGKILL" in ended.out
    assert bench.start(*bench.small("ae+gaussian")).end().code == 0
    assert difference(outcome(bench.store), undisturbed) == []


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_command(bench):
    command = bench.start(*bench.small("wgan_gp"))
    stages, until = bench.store / "stages", time.monotonic() + 240
    while not (begun := [*stages.glob("*-wgan_gp-smoke-*/metrics.jsonl")]) and time.monotonic() < until:
        time.sleep(0.05)
    assert begun
    command.send(signal.SIGKILL)
    assert command.end(grace=60.0).left == ()
    assert begun[0].with_name("last.ckpt").exists(), begun[0].with_name("log.txt").read_text()
