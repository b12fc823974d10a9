"""Each example runs as it stands, and so do the README's five lines in a plain script."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))

pytestmark = pytest.mark.skipif(not EXAMPLES, reason="examples/ is not beside the tests (an installed package)")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One folder for all, so that what one example trains another finds."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture
def example(place, monkeypatch, capsys):
    """Run an example as it stands, in that folder, and return what it prints."""

    def run(name, *words):
        monkeypatch.chdir(place)
        monkeypatch.setattr(sys, "argv", [name, *words])
        runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
        return capsys.readouterr().out

    return run


@pytest.mark.slow
def test_images_of_ones_own_are_trained_on_and_scored(example, place):
    said = example("own_images", "--method", "pca")
    assert "1,618 training and 179 test 1x32x32 images" in said
    assert re.search(r"^fid +\d", said, re.MULTILINE)
    assert (place / "own_images.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_solver_alone_reaches_its_tolerance_on_anyones_codes(example, place):
    said = example("sdot_codes", "--n", "200", "--tol", "0.2", "--draws", "100")
    error = re.search(r"held-out error (\S+) ", said)
    assert error
    assert float(error[1]) <= 0.2
    np.save(place / "codes.npy", np.random.default_rng(0).normal(size=(150, 5)))
    assert "150 codes, d = 5" in example("sdot_codes", "--codes", "codes.npy", "--tol", "0.3", "--draws", "100")


def test_what_was_trained_is_loaded_from_its_folder_alone(example, place):
    said = example("load_and_sample", "--n", "4")
    assert "samples (4, 1, 32, 32) torch.uint8" in said
    folder = said.partition(":")[0]
    assert (place / folder / "model.safetensors").exists()
    assert example("load_and_sample", folder, "--n", "4") == said


@pytest.mark.slow
def test_images_made_elsewhere_are_scored(example, place):
    said = example("evaluate_images")
    fids = [float(fid) for fid in re.findall(r"fid (\S+)", said)]
    assert len(fids) == 3
    assert fids == sorted(fids)
    np.save(place / "images.npy", np.zeros((400, 32, 32), np.uint8))
    assert "images.npy" in example("evaluate_images", "--images", "images.npy")


def test_every_example_is_run_here():
    called = re.findall(r'example\("(\w+)"', Path(__file__).read_text())
    assert sorted(set(called)) == EXAMPLES


@pytest.mark.slow
def test_a_plain_script_needs_no_main_guard(place):
    """In a process of its own: neither its workers run it again, nor is anything printed that is no line of ours."""
    script = place / "five_lines.py"
    script.write_text(
        'import latent_ot as lo\n\nrun = lo.train("pca", "digits", "smoke")\nprint(run.sample(3).shape)\n'
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=place, env=env)
    assert done.returncode == 0, done.stderr
    assert not {"Traceback", "Warning"} & set(re.findall(r"\w+", done.stderr)), done.stderr
    assert done.stdout.strip() == "torch.Size([3, 1, 32, 32])"
