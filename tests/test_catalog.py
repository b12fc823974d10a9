"""Methods are found by their file's name; a user's own file joins in the same way."""

import pytest

from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.request import Request
from latent_ot.catalog import Catalog
from latent_ot.errors import InputError
from latent_ot.methods.base import Method
from latent_ot.samplers.base import LatentSampler

PLUGIN = """
import torch
from latent_ot.samplers.base import LatentSampler


class Ball(LatentSampler):
    def _sample(self, n, generator):
        return torch.rand(n, self.dim, generator=generator)
"""


@pytest.mark.parametrize("name", sorted(Catalog().files["methods"]))
def test_every_method_file_holds_one_method_with_paper_and_settings(name):
    stage = Catalog().stage("methods", name)
    assert issubclass(stage, Method)
    assert Catalog().summary("methods", name)
    assert all(field.description for field in stage.Config.model_fields.values())
    stage.Config()  # the defaults are a complete setting


@pytest.mark.parametrize("name", Catalog().sampler_names())
def test_every_sampler_file_holds_one_sampler(name):
    stage = Catalog().stage("samplers", name)
    assert issubclass(stage, LatentSampler)
    assert Catalog().summary("samplers", name)
    stage.Config()


def test_named_pairs_are_made_of_what_exists():
    catalog = Catalog()
    for name, row in catalog.pairs.items():
        if "method" in row:
            assert catalog.recipe(name).parts == catalog.recipe(row["method"]).parts
            assert catalog.recipe(name).settings != catalog.recipe(row["method"]).settings
            assert catalog.accepts(name) == catalog.accepts(row["method"])
            continue
        assert catalog.recipe(name).parts == (row["representation"], row["sampler"])
        catalog.stage("methods", row["representation"])
        catalog.stage("samplers", row["sampler"])


def test_a_plugin_is_a_sampler_like_any_other(tmp_path):
    path = tmp_path / "ball.py"
    path.write_text(PLUGIN)
    catalog = Catalog([path])
    assert catalog.recipe("glo+ball").parts == ("glo", "ball")
    assert catalog.stage("samplers", "ball").__name__ == "Ball"


def test_a_plugin_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"plugin .absent\.py."):
        Catalog([tmp_path / "absent.py"])


def test_a_pair_goes_by_its_shortest_name():
    catalog = Catalog()
    named = {
        ("ae", "sdot"): "ae_ot_sd",
        ("ae", "ot_gen"): "ae+ot_gen",  # ae_ot_gen has another autoencoder
        ("glo", "gaussian"): "glo",
        ("glo", "imle"): "glo+imle",  # glann has other schedules
        ("pca", "flow"): "pca+flow",
    }
    assert {pair: catalog.pair_name(*pair) for pair in named} == named
    assert catalog.pair_name("points", "kmeans_gauss") == "kmeans_gauss"  # not a name that fixes settings


def test_representations_are_told_apart_by_what_they_take():
    assert {"ae", "vae", "wae_mmd", "rae_gp", "glo", "gldo", "pca"} <= set(Catalog().representations("image"))
    assert Catalog().representations("points") == ["points"]


def test_each_kind_of_data_has_the_methods_that_take_it():
    catalog = Catalog()
    images, points = catalog.methods_for("image"), catalog.methods_for("points")
    assert set(images) | set(points) == set(catalog.method_names())
    assert {"gldo", "wgan_gp", "ae_ot_sd", "glo_lap", "pca", "ae_ot_gan"} <= set(images)
    assert {"wgan_gp", "iwgan", "ae_ot_sd", "ae_ot_gen", "ae_ot_kp", "kmeans_gauss_k16", "points"} <= set(points)
    assert not {"vae", "pca", "glo_lap", "gldo_mix", "ae_ot_gan"} & set(points)  # nothing of their own on points
    assert not {"points", "kmeans_gauss", "kmeans_gauss_k8"} & set(images)


def test_all_stands_for_each_method_that_takes_the_data_set(tmp_path):
    request = Request("ring8", ["all", "points+gmm"], budget="smoke", data_dir=tmp_path, store=tmp_path / "runs")
    benchmark = Benchmark(request)
    assert benchmark.methods == [*Catalog().methods_for("points"), "points+gmm"]
    plans = benchmark.plan()
    assert not [plan.label for plan in plans if plan.declined]
    assert len(plans) == 1 + len(benchmark.methods)
