"""What the README shows works as it stands."""

import re
from pathlib import Path

import pytest

from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.request import Request

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="README.md is not beside the tests (an installed package)")
def test_the_method_of_your_own_runs(tmp_path):
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert code
    plugin = tmp_path / "my_method.py"
    plugin.write_text(code.group(1))
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
