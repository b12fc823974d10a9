"""Every place that is written to may be unwritable, full or not there: one line, exit 3, and nothing lost or left."""

import json
import logging
import os
import resource
import shutil
import stat
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from faults.commands import Here

from latent_ot import cli, files
from latent_ot.bench import currency, worker
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.executors import local
from latent_ot.bench.request import Request
from latent_ot.datasets.base import load
from latent_ot.errors import InputError, StoreError
from latent_ot.files import check_out, locked, made, whole, writable, write_atomic, write_json
from latent_ot.leaderboard import check, write
from latent_ot.results import add
from latent_ot.results import load as load_records
from latent_ot.tensors import write_checkpoint, write_tensors

SMALL = ("--dataset", "digits", "--budget", "smoke")


@contextmanager
def room(size):
    """Let no file grow past ``size`` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def tree(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Commands in this process, their workers too."""
    monkeypatch.setattr(local, "Local", Here)
    monkeypatch.setattr(worker.Line, "send", lambda self, message: None)
    monkeypatch.chdir(tmp_path)
    flags = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(flags[0])
    torch.set_num_threads(flags[1])
    logging.basicConfig(force=True)


@pytest.fixture
def command(monkeypatch, capfd):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["latent-ot", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code or 0, *capfd.readouterr()

    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    load("digits", folder)
    return folder


# --- Before the work -----------------------------------------------------------------------------------------------


def closed(folder):
    """Places that take no file, whoever asks: below a file, a file itself, where the kernel makes none."""
    (folder / "file").write_text("mine")
    return {"below a file": folder / "file" / "x", "a file": folder / "file", "closed": Path("/proc/latent-ot/x")}


COMMANDS = {
    "bench --store": lambda at: ["bench", "--methods", "pca", *SMALL, "--store", at],
    "grid --store": lambda at: ["grid", "--representations", "pca", "--samplers", "gaussian", *SMALL, "--store", at],
    "train --store": lambda at: ["train", "pca", *SMALL, "--store", at],
    "evaluate --store": lambda at: ["evaluate", "pca", *SMALL, "--store", at],
    "leaderboard --leaderboards": lambda at: ["leaderboard", "--leaderboards", at],
    "publish --leaderboards": lambda at: ["publish", "--store", "full", "--leaderboards", at],
    "train-evaluator --out": lambda at: ["train-evaluator", "digits", "--epochs", "1", "--out", at],
    "prepare --data-dir": lambda at: ["prepare", "digits", "--data-dir", at],
}
OUT = {name: ["pca", *SMALL] for name in ("sample", "reconstruct", "interpolate")} | {
    "quality": ["pca", "--images", ".", *SMALL]
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_place_that_takes_no_files_is_said_before_the_work_and_nothing_is_left(
    name, here, command, tmp_path, raw, monkeypatch, data
):
    monkeypatch.setattr(currency, "outdated", lambda record: ())
    monkeypatch.setattr(Here, "run", lambda *args: pytest.fail("work began"))
    add(tmp_path / "full", [raw("glo", stages=[])])
    reads_data = "--data-dir" not in name and "leaderboards" not in name
    for kind, place in closed(tmp_path).items():
        words = [*COMMANDS[name](place), *(["--data-dir", data] if reads_data else [])]
        code, out, err = command(*words, *(["--store", "none"] if name.startswith("leaderboard") else []))
        assert code == 3 or (kind == "a file" and code == 2), err
        assert str(place) in err
        assert err.count("\n") == 1
        assert not out
        assert (tmp_path / "file").read_text() == "mine"
        assert [path for path in tree(tmp_path) if path.split("/")[0] not in ("file", "full")] == []


@pytest.mark.parametrize("name", OUT)
def test_a_picture_that_cannot_be_written_is_said_before_it_is_made(name, here, command, tmp_path, data):
    asked = [name, *OUT[name], "--data-dir", data]
    for kind, place in closed(tmp_path).items():
        path = place / "p.png"
        code, _, err = command(*asked, "--out", path)
        assert (code, err.count("\n")) == (3, 1), (kind, err)
        assert str(path) in err
    (tmp_path / "folder").mkdir()
    code, _, err = command(*asked, "--out", tmp_path / "folder")
    assert code == 2
    nearest = tmp_path / "folder" / "picture.png"  # samples, one by one, go into an empty folder
    said = "not trained" if name == "sample" else f"folder' is a folder; allowed: a file; nearest: {nearest}"
    assert said in err
    code, _, err = command(*asked, "--out", tmp_path / "new" / "deep" / "p.png")
    assert code == 2
    assert "not trained" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


REFUSED = (
    ["bench", "--methods", "nosuch", *SMALL],
    ["bench", "--methods", "pca", "--set", "pca.components=x", *SMALL],
    ["bench", "--methods", "pca", "--dataset", "digits", "--budget", "smoek"],
    ["train", "nosuch", *SMALL],
    ["sample", "pca", *SMALL],
    ["publish"],
    ["prune"],
    ["table", "nosuch"],
)


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_a_refused_command_leaves_no_folder(words, here, command, tmp_path, data):
    code, _, err = command(*words, *(["--data-dir", data] if "--dataset" in words else []))
    assert (code, err.count("\n")) == (2, 1)
    assert tree(tmp_path) == []


def test_an_out_folder_that_is_not_there_is_made(here, command, tmp_path, data):
    assert command("train", "pca", *SMALL, "--data-dir", data)[0] == 0
    code, out, _ = command("sample", "pca", *SMALL, "--data-dir", data, "--out", "new/deep/p.png")
    assert (code, out) == (0, "new/deep/p.png\n")
    assert (tmp_path / "new" / "deep" / "p.png").read_bytes().startswith(b"\x89PNG")


def test_home_in_an_option_is_the_home_folder(here, command, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert command("train", "pca", *SMALL, "--data-dir=~/data", "--store=~/runs")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["data", "runs"]


# --- In the middle -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write_", [
    lambda path: write_atomic(path, bytes(5000)),
    lambda path: write_json(path, {"a": "b" * 5000}),
    lambda path: write_tensors(path, {"a": torch.zeros(2000)}),
    lambda path: write_checkpoint(path, {"a": torch.zeros(2000)}),
])  # fmt: skip
def test_a_writer_without_room_says_how_much_it_needs_and_leaves_what_was_there(write_, tmp_path):
    path = tmp_path / "new" / "model.bin"
    for old in (None, b"old"):
        if old:
            path.parent.mkdir()
            path.write_bytes(old)
        with (
            room(1000),
            pytest.raises(StoreError, match=r"cannot be written \(.*\); needed: 0.0 MB of room where") as error,
        ):
            write_(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
        assert tree(tmp_path) == (["new", "new/model.bin"] if old else [])
    assert path.read_bytes() == b"old"


def outcome(store):
    """What a store's runs came to, without what takes time: weights, codes and pictures, and the records' figures."""
    found = {}
    for path in sorted(store.rglob("*")):
        if path.suffix in (".safetensors", ".png", ".jsonl", ".gz"):
            found[path.relative_to(store).as_posix()] = path.read_bytes()
    for path in (store / "results").glob("*.json"):
        told = json.loads(path.read_text())
        apart = ("seconds", "peak_memory_mb", "machine", "checksum", "commit")
        found[path.name] = json.dumps({key: value for key, value in told.items() if key not in apart}, sort_keys=True)
    return found


def bench(data, store, methods):
    return ["bench", "--methods", methods, *SMALL, "--data-dir", data, "--store", store]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("methods", "sizes"), [("glo,pca", (1 << 20, 1_100_000, 1 << 21)), ("ae_ot_gan", (1 << 20, 1 << 21, 1 << 22))]
)
def test_a_full_disk_is_one_line_and_with_room_the_bytes_are_those_of_an_undisturbed_run(
    methods, sizes, here, command, data, tmp_path, monkeypatch
):
    assert command(*bench(data, "whole", methods))[0] == 0
    refused = 0
    for size in sizes:
        with room(size):
            code, out, err = command(*bench(data, "full", methods))
        if code != 0:
            refused += 1
            line = err.splitlines()[-1]
            assert code == 3, err
            assert line.startswith("latent-ot: "), err
            assert "cannot be written" in line
            assert "needed: " in line
            assert "Traceback" not in err
            assert not out
    assert refused
    assert command(*bench(data, "full", methods))[0] == 0
    assert outcome(tmp_path / "full") == outcome(tmp_path / "whole")


def training(data, store, method):
    return ["train", method, *SMALL, "--data-dir", data, "--store", store]


@pytest.mark.parametrize(
    ("asked", "nth"),
    [(training, 0), (training, 1), *(pytest.param(bench, n, marks=pytest.mark.slow) for n in range(10))],
)
def test_any_write_may_fail_and_nothing_half_written_counts(asked, nth, here, command, data, tmp_path, monkeypatch):
    """The disk is full at one write, for good; then there is room."""
    assert command(*asked(data, "whole", "pca"))[0] == 0
    count, real = [0], Path.write_bytes

    def full(self, content):
        count[0] += 1
        if count[0] > nth:
            real(self, content[: len(content) // 2])
            raise OSError(28, os.strerror(28))
        return real(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        code, _, err = command(*asked(data, "full", "pca"))
    assert code == 3
    assert "No space left on device" in err.splitlines()[-1]
    assert not [path for path in tree(tmp_path / "full") if path.endswith(".part")]
    assert command(*asked(data, "full", "pca"))[0] == 0
    assert outcome(tmp_path / "full") == outcome(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [2, 3, 6])
def test_a_small_tmpfs_with_real_workers(megabytes, tmp_path):
    """Skipped where no file system may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs may be mounted here")
    try:
        command = [sys.executable, "-m", "latent_ot.cli", *bench(tmp_path / "data", disk / "runs", "glo,ae_ot_sd")]
        load("digits", tmp_path / "data")
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 3, done
        assert "needed: " in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=500m", str(disk)], check=True)
        assert subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path).returncode == 0
        command[command.index(disk / "runs")] = tmp_path / "whole"
        assert subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path).returncode == 0
        assert outcome(disk / "runs") == outcome(tmp_path / "whole")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


# --- What is whose -------------------------------------------------------------------------------------------------


def test_a_users_own_files_in_a_folder_of_pages_stay(board, raw, capsys):
    root = board(raw())
    own = {"notes.md": "mine", "figures.csv": "a,b\n", "figures/mnist5k/drawn.svg": "<svg/>", "results/notes.txt": "x",
           "figures/mnist5k/a--b--c.svg": "<svg/>", "vae.md": "# vae\n\nmy notes\n"}  # fmt: skip
    for name, text in own.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    write(root, load_records(root))
    (root / "old.md").write_text("# old\n\nGenerated from [results/](results/); all figures")
    write(root, load_records(root))
    assert {name: (root / name).read_text() for name in own} == own
    assert not (root / "old.md").exists()
    assert "removed " in capsys.readouterr().err


@pytest.mark.one_quick
@pytest.mark.parametrize("name", ["README.md", "claims.md", "works.md", "mnist5k.md", "mnist5k.csv"])
def test_a_users_own_file_of_a_pages_name_is_refused_before_anything_is_written(name, board, raw, tmp_path):
    root = board(raw())
    (root / name).write_text("my own project")
    before = tree(root)
    with pytest.raises(InputError, match="is no page of the suite's, and would be lost") as error:
        write(root, load_records(root))
    assert str(root / name) in str(error.value)
    assert tree(root) == before
    (root / name).write_text("")  # as a power cut leaves a page
    write(root, load_records(root))
    assert not (root / name).exists() or (root / name).read_text()


@pytest.mark.parametrize("name", ["README.md", "index.html"])
def test_a_store_in_a_project_with_pages_is_refused_before_the_work(name, here, command, data, tmp_path, monkeypatch):
    monkeypatch.setattr(Here, "run", lambda *args: pytest.fail("work began"))
    (tmp_path / name).write_text("my own project")
    code, _, err = command(*bench(data, ".", "pca"))
    assert (code, err.count("\n")) == (2, 1)
    assert tree(tmp_path) == [name]


def test_an_installed_package_is_not_written_to(tmp_path, monkeypatch, here, command):
    package = tmp_path / "site-packages" / "latent_ot"
    package.mkdir(parents=True)
    monkeypatch.setattr(files, "PACKAGE", package)
    for path in (package / "checks.json", package / "_benchmarks" / "claims" / "checks.json", package / "w" / "x"):
        for attempt in (partial(write_atomic, data=b"x"), partial(writable, what="folder"), check_out):
            with pytest.raises(InputError, match="lies in the installed package"):
                attempt(path)
    monkeypatch.setattr("latent_ot.metrics.evaluators.train.WEIGHTS", package / "weights")
    code, _, err = command("train-evaluator", "digits", "--data-dir", "data")
    assert code == 2
    assert "lies in the installed package" in err
    assert tree(package) == []
    write_atomic(tmp_path / "elsewhere.json", b"x")


def test_files_have_the_mode_that_the_umask_gives(tmp_path):
    before = os.umask(0o027)
    try:
        write_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(2)})
        write_checkpoint(tmp_path / "a.ckpt", {"a": torch.zeros(2)})
        write_json(tmp_path / "a.json", {})
        os.umask(0o002)
        with locked(tmp_path / "a.lock"):
            pass
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"a.safetensors": 0o640, "a.ckpt": 0o640, "a.json": 0o640, "a.lock": 0o664}


# --- A power cut ---------------------------------------------------------------------------------------------------


def test_what_is_final_is_on_the_disk_before_it_has_its_name_and_the_name_is_too(tmp_path, monkeypatch):
    seen = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(os.readlink(f"/proc/self/fd/{fd}")), sync(fd)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (seen.append(f"-> {to}"), replace(self, to)))
    for name, write_ in {
        "a.json": lambda path: write_json(path, {}, durable=True),
        "a.safetensors": lambda path: write_tensors(path, {}),
        "last.ckpt": lambda path: write_checkpoint(path, {}),
    }.items():
        seen.clear()
        write_(tmp_path / name)
        part, named, folder = seen
        assert part.startswith(f"{tmp_path}/.{name}.")
        assert (named, folder) == (f"-> {tmp_path / name}", str(tmp_path))
    seen.clear()
    write_atomic(tmp_path / "log.png", b"x")  # what can be made again does not wait for the disk
    assert len(seen) == 1


@pytest.mark.slow
def test_a_stage_and_a_record_are_durable(tmp_path, monkeypatch, raw, here, data, command):
    seen = set()
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (seen.add(Path(os.readlink(f"/proc/self/fd/{fd}")).name), sync(fd)))
    assert command(*training(data, "runs", "ae"))[0] == 0
    add(tmp_path, [raw(curves={"fid": [[64, 3.5]]})])
    kept = {name.split(".json.")[0].split(".safetensors.")[0].split(".ckpt.")[0].lstrip(".") for name in seen}
    assert {"result", "config", "model", "codes", "last", "snapshots", "results"} <= kept
    assert any(name.startswith("mnist5k--gldo--ci--s0") for name in kept)
    assert any("curves.csv.gz" in name for name in kept)


@pytest.mark.slow
def test_a_power_cut_that_empties_the_last_files_costs_their_work_alone(here, command, data, tmp_path):
    assert command(*bench(data, "whole", "ae+gaussian"))[0] == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for path in (tmp_path / "cut").rglob("*"):
        if (path.is_file() and path.name in ("result.json", "last.ckpt", "README.md", "model.safetensors")) or (
            path.is_file() and path.parent.name in ("results", "cache")
        ):
            path.write_bytes(b"")
    code, out, err = command(*bench(data, "cut", "ae+gaussian"))
    assert code == 0, err
    assert "ae+gaussian" in out
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


def test_folders_that_were_made_in_vain_go_again(tmp_path):
    with pytest.raises(ValueError, match="no"), made(tmp_path / "a" / "b"):
        raise ValueError("no")
    assert tree(tmp_path) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(FileExistsError), made(tmp_path / "a" / "b"):
        (tmp_path / "a" / "kept").mkdir(exist_ok=(tmp_path / "a" / "kept").mkdir() is not None)
    assert tree(tmp_path) == ["a", "a/kept"]
    with whole(tmp_path / "a" / "c" / "x") as part:
        part.write_bytes(b"x")
    check(tmp_path / "boards")
    assert not (tmp_path / "boards").exists()


def test_a_benchmark_in_python_says_it_too(tmp_path, here):
    (tmp_path / "file").write_text("")
    request = Request("digits", ["pca"], budget="smoke", data_dir=tmp_path / "data", store=tmp_path / "file" / "runs")
    with pytest.raises(StoreError, match=r"store '.*runs' cannot be written"):
        Benchmark(request).execute()
