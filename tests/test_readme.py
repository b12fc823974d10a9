"""What the README shows works as it stands."""

import re
from pathlib import Path

import pytest

from latent_ot import api
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.request import Request

README = Path(__file__).parents[1] / "README.md"


def python():
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(not README.exists(), reason="README.md is not beside the tests (an installed package)")
def test_the_method_of_your_own_runs(tmp_path):
    (code,) = (block for block in python() if "class " in block)
    plugin = tmp_path / "my_method.py"
    plugin.write_text(code)
    request = Request(
        "digits",
        ["my_method"],
        [0],
        "smoke",
        tmp_path / "data",
        tmp_path / "runs",
        plugins=[plugin],
    )
    records, _ = Benchmark(request).execute()
    assert {r["method"]: r["status"] for r in records} == {"data": "done", "my_method": "done"}
    assert records[1]["reasons"]["psnr"]  # it cannot reconstruct, and the table says why


@pytest.mark.skipif(not README.exists(), reason="README.md is not beside the tests (an installed package)")
def test_the_five_lines_are_those_of_the_module():
    assert python()[0].strip() in (api.__doc__ or "")


@pytest.mark.skipif(not README.exists(), reason="README.md is not beside the tests (an installed package)")
@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_what_a_page_links_and_names_is_there(page):
    text = README.with_name(page).read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    named = [path for path in re.findall(r"`((?:latent_ot|benchmarks|tests)/[\w./]+)`", text) if path.upper() != path]
    for path in [*links, *(path for path in named if not re.search(r"/[A-Z_]+\.|_NAME", path))]:
        assert (README.parent / path).exists(), path
