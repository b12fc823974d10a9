"""The grid trains each representation once, and each sampler once on each representation."""

import re
from dataclasses import replace

import pytest

from latent_ot import leaderboard
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.currency import stored
from latent_ot.bench.request import Request
from latent_ot.errors import InputError
from latent_ot.metrics.base import keys_of

CODES = set(keys_of("codes"))


@pytest.fixture(scope="module")
def request_here(tmp_path_factory) -> Request:
    folder = tmp_path_factory.mktemp("grid")
    return Request("digits", (), [0], "smoke", folder / "data", folder / "runs")


@pytest.fixture(scope="module")
def rows(request_here):
    records, stopped = Benchmark(replace(request_here, grid=(["pca", "vae"], ["gaussian", "normal"]))).execute()
    assert not stopped
    return {row["method"]: row for row in records}


@pytest.mark.slow
def test_pairs_go_by_their_shortest_names(rows):
    assert rows.keys() == {"data", "pca", "pca+normal", "vae+gaussian", "vae"}
    assert {row["status"] for row in rows.values()} == {"done"}


@pytest.mark.slow
def test_what_pairs_share_was_done_once(rows, request_here):
    folders = [path.name for path in (request_here.store / "stages").iterdir()]
    for name in ("pca", "vae"):
        assert sum(folder.startswith(f"digits-{name}-smoke") for folder in folders) == 1
        assert sum(folder.startswith(f"digits-{name}-reconstruct-smoke") for folder in folders) == 1
    assert rows["pca"]["metrics"]["psnr"] == rows["pca+normal"]["metrics"]["psnr"]
    assert rows["pca"]["metrics"]["fid"] != rows["pca+normal"]["metrics"]["fid"]


@pytest.mark.slow
def test_every_pair_says_how_good_its_codes_are(rows):
    for name in rows.keys() - {"data"}:
        assert rows[name]["metrics"].keys() >= CODES
        assert rows[name]["metrics"]["code_repeats"] == 0  # neither sampler gives training codes back
        assert rows[name]["metrics"]["interp_smoothness"] >= 1
    assert rows["pca"]["metrics"]["code_w2"] < rows["pca+normal"]["metrics"]["code_w2"]
    assert rows["data"]["reasons"].keys() >= CODES


@pytest.mark.slow
def test_the_page_has_the_heat_map_and_the_pictures(rows, request_here):
    leaderboard.write(request_here.store, stored(request_here.store))
    assert list(request_here.store.glob("figures/digits/*--grid.svg"))
    text = (request_here.store / "digits.md").read_text()
    assert "of representations with latent samplers" in text
    for picture in ("samples", "reconstructions", "interpolations", "latent"):
        assert re.search(rf"results/digits--vae--smoke--s0--[\w-]+\.{picture}\.png", text)


@pytest.mark.parametrize(("representations", "samplers"), [(["dcgan"], []), ([], ["sdto"])])
def test_a_name_that_is_none_is_refused(representations, samplers, request_here):
    with pytest.raises(InputError, match="allowed"):
        Benchmark(replace(request_here, grid=(representations, samplers)))
