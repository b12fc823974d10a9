"""The five lines of the README in a real kernel, whose progress, errors and pictures are those of a notebook."""

import base64
import os
import sys

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow  # a kernel takes most of a minute to begin
INLINE = "module://matplotlib_inline.backend_inline"
CELLS = {
    "train": """
import latent_ot as lo

run = lo.train("pca+gmm", dataset="digits", budget="smoke")
x = run.sample(64, seed=0)
tuple(x.shape), str(x.dtype)
""",
    "evaluate": "run.evaluate()",
    "picture": "run.picture(16)",
    "load": "bool((lo.load(run.folder).sample(64, seed=0) == x).all())",
    "mistake": """
try:
    lo.train("pcaa", dataset="digits")
except ValueError as mistake:
    print(type(mistake).__name__, mistake)
""",
    "progress": """
from latent_ot.bench.display import display

rows = display(2)
rows.start("a", "glo s0")
rows.start("b", "vae s0")
rows.update("a", {"done": 640, "total": 6400, "rate": 512.0, "loss": 0.25})
rows.end("b", "diverged", "loss = nan at step <7>")
""",
    "command": "!{command} sample pca+gmm --dataset digits --budget smoke --out drawn.png",
    "mistyped": "!{command} show pca+gmn",
    "backend": "import os; os.environ['MPLBACKEND']",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def under(place):
    """Return the outputs under each cell, by the cell's name."""
    command = f'"{sys.executable}" -m latent_ot.cli'
    cells = [nbformat.v4.new_code_cell(cell.strip().replace("{command}", command)) for cell in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(place)}})
    client.execute(env={**os.environ, "MPLBACKEND": INLINE})
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


def value(outputs):
    """Return what the cell's last line came to, by kind of content."""
    (found,) = [output.data for output in outputs if output.output_type == "execute_result"]
    return found


def printed(outputs):
    return "".join(output.text for output in outputs if output.output_type == "stream")


def drawn(outputs):
    """Return the one output that the progress of a cell is."""
    (found,) = [output.data for output in outputs if output.output_type == "display_data"]
    return found


def test_the_five_lines_end_in_samples_metrics_and_a_picture(under):
    assert value(under["train"])["text/plain"] == "((64, 1, 32, 32), 'torch.uint8')"
    assert "'fid': " in value(under["evaluate"])["text/plain"]
    assert base64.b64decode(value(under["picture"])["image/png"]).startswith(b"\x89PNG")
    assert value(under["load"])["text/plain"] == "True"
    assert printed(under["mistake"]).startswith("InputError method 'pcaa' is unknown")
    assert value(under["backend"])["text/plain"] == repr(INLINE)


def test_nothing_but_clean_lines_stands_under_a_cell(under):
    for outputs in under.values():
        text = printed(outputs)
        assert not {"\x1b", "\x08"} & set(text)
        assert not any(word in text for word in ("Traceback", "Warning", "ipywidgets"))
    for cell in ("train", "evaluate"):
        assert all("cores stay idle" in line for line in printed(under[cell]).splitlines())


def test_progress_is_one_output_that_is_replaced(under):
    lines = drawn(under["train"])["text/plain"].splitlines()
    assert [line.split(" in ")[0].split() for line in lines[:2]] == [["pca", "s0", "done"], ["gmm", "s0", "done"]]
    assert lines[2].split()[0] == "stages"
    assert "2/2" in lines[2]
    said, running, total = drawn(under["progress"])["text/plain"].splitlines()
    assert said.startswith("vae s0")
    assert said.endswith("diverged in 0:00: loss = nan at step <7>")
    assert running.startswith("glo s0")
    assert running.endswith("512 img/s  loss 0.25")
    assert "640/6400" in running
    assert "1/2" in total
    assert "&lt;7&gt;" in drawn(under["progress"])["text/html"]


def test_a_command_in_a_cell_says_what_it_says_in_a_log(under, place):
    assert printed(under["command"]).splitlines() == ["drawn.png"]
    assert (place / "drawn.png").read_bytes().startswith(b"\x89PNG")
    assert "latent sampler 'gmn' is unknown" in printed(under["mistyped"])
