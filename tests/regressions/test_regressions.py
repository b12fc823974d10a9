"""The intervals of tables that ``.ci/run`` compares with tell a broken method: four faults, kept as patches.

The golden values, which would see each of them sooner, take no part: the command is run on a copy of the package.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from latent_ot.budgets import benchmarks
from latent_ot.discovery import PACKAGE

HERE = Path(__file__).parent
CAUGHT = {
    "penalty_sign": ("gldo-table4", "GLDO_L2, eps 3, seed 0: code_gradient"),
    "projection": ("gldo-table4", "GLO_L2, seed 0: code_travel"),
    "sdot_extension": ("aeotgan-mnist-inline", "AE-OT, seed 0: code_distance"),
    "batch_norm_mode": ("gldo-table4", "GLO_L2, seed 0: fid"),
}
"""Patch -> the table that catches it, and a figure that does."""


def apply(name, folder):
    """Apply a patch to the copy of the package in a folder; refuse one that does not fit."""
    settings = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent), "GIT_DIR": str(folder / "none")}
    done = subprocess.run(
        ["git", "apply", str(HERE / f"{name}.patch")], cwd=folder, env=settings, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{name}.patch does not fit the code any more, mend it: {done.stderr}"


def touched(name):
    """Return the file that a patch changes, relative to the repository."""
    (path,) = [line[6:] for line in (HERE / f"{name}.patch").read_text().splitlines() if line.startswith("+++ b/")]
    return Path(path)


def compared(table, folder):
    """Run a table against its intervals with the package that lies in a folder; return exit code and stderr."""
    command = [sys.executable, "-m", "latent_ot", "table", table, "--run", "--gpus", "0"]
    command += ["--against", str(benchmarks() / "expected" / f"{table}.yaml")]
    command += [word for name in ("data-dir", "store", "leaderboards") for word in (f"--{name}", str(folder / name))]
    settings = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.fixture
def copy(tmp_path):
    """A folder with a copy of the package and of the suite's data."""
    shutil.copytree(PACKAGE, tmp_path / "latent_ot", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(benchmarks(), tmp_path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_every_patch_is_known_and_of_a_table_of_its_own():
    assert {path.stem for path in HERE.glob("*.patch")} == set(CAUGHT)
    assert {table for table, _ in CAUGHT.values()} == {path.stem for path in (benchmarks() / "expected").glob("*.yaml")}


@pytest.mark.parametrize("name", CAUGHT)
def test_every_patch_fits_the_code(name, tmp_path):
    path = touched(name)
    (tmp_path / path).parent.mkdir(parents=True)
    shutil.copy(PACKAGE.parent / path, tmp_path / path)
    apply(name, tmp_path)
    assert (tmp_path / path).read_text() != (PACKAGE.parent / path).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("table", sorted({table for table, _ in CAUGHT.values()}))
def test_the_code_as_it_is_lies_in_the_intervals(table, copy):
    code, said = compared(table, copy)
    assert code == 0, said
    assert "every figure lies in its interval" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", CAUGHT)
def test_the_intervals_catch_a_broken_method(name, copy):
    table, figure = CAUGHT[name]
    apply(name, copy)
    code, said = compared(table, copy)
    assert code == 1, said
    assert f"{figure} = " in said
    assert " is outside [" in said
