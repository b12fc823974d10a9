"""A key is made of names, versions and settings: words do not change it, and a version raised changes what has it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from planning import dataset, keys, planner

import latent_ot
from latent_ot.bench.sampling import Draws
from latent_ot.catalog import Catalog
from latent_ot.methods._inversion import Search
from latent_ot.methods.glo import Glo
from latent_ot.methods.vae import Vae
from latent_ot.metrics.evaluators.small import Small
from latent_ot.metrics.fid import Fid
from latent_ot.metrics.psnr import Psnr
from latent_ot.networks.infogan import InfoganNetworks
from latent_ot.samplers.gaussian import Gaussian
from latent_ot.stage import Stage

PACKAGE = Path(latent_ot.__file__).parent
COUNT = "import json, test_identity; print(json.dumps(test_identity.every_key()))"


def every_key() -> dict[str, list[str]]:
    """Return the keys of every method, and of every sampler on codes and on points."""
    catalog, found = Catalog(), {}
    for kind, representation in (("image", "ae"), ("points", "points")):
        plan = planner(dataset(kind))
        for name in [*catalog.method_names(), *(f"{representation}+{sampler}" for sampler in catalog.sampler_names())]:
            found[f"{kind} {name}"] = keys(plan.run(name, 0))
    return found


def every_key_of(package: Path) -> dict[str, list[str]]:
    """Return what ``every_key`` gives with the package in this folder."""
    here = Path(__file__).parent
    paths = f"{package.parent}:{here}:{here.parent}"
    done = subprocess.run(
        [sys.executable, "-B", "-c", COUNT], capture_output=True, text=True, env={"PYTHONPATH": paths, "PATH": ""}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.slow
def test_words_helpers_colours_and_new_families_change_no_key(tmp_path):
    copy = tmp_path / "latent_ot"
    shutil.copytree(PACKAGE, copy)
    shutil.copytree(PACKAGE.parent / "benchmarks", tmp_path / "benchmarks")
    edit(copy / "errors.py", "is unknown; allowed", "is not known; allowed")
    edit(copy / "stage.py", "def as_float(", "def unused(x):\n    return 2 * x\n\n\ndef as_float(")
    edit(copy / "pictures" / "charts.py", "#444444", "#454545")
    (copy / "networks" / "brand_new.py").write_text(
        "from torch import nn\n\nfrom latent_ot.networks.base import Family\n\n\n"
        "class Net(nn.Linear):\n    pass\n\n\nclass BrandNew(Family):\n    version = 1\n    generator = Net\n"
    )
    for path in (copy / "methods").glob("*.py"):
        path.write_text(path.read_text() + "\n\ndef unused():\n    return None\n")
    before = every_key()
    assert sum(map(len, before.values())) > 100
    assert every_key_of(copy) == before


@pytest.mark.parametrize(
    ("part", "stages"),
    [
        (Stage, [True, True, True, True]),  # the Gaussian that a search over codes starts from is a stage, too
        (Glo, [True, False, False, False]),
        (InfoganNetworks, [True, False, False, False]),
        (Gaussian, [False, True, True, False]),
        (Psnr, [False, False, True, False]),
        (Fid, [False, False, False, True]),
        (Small, [False, False, False, True]),
    ],
)
def test_a_version_raised_changes_what_has_the_part_and_what_is_built_on_it(part, stages, monkeypatch):
    before = planner().run("gldo", 0)  # a GLO, by inheritance
    parts = [stage.job["made_of"] for stage in before.stages]
    has = [any(part.__name__ in found for found in made.values()) for made in parts]
    assert has[:3] == stages[:3]
    monkeypatch.setattr(part, "version", part.version + 1)
    now = planner().run("gldo", 0)
    changed = [a != b for a, b in zip(keys(before), keys(now), strict=True)]
    built_on = {"gaussian": [0], "reconstruct": [0], "evaluate": [0, 1, 2]}
    for i, stage in enumerate(before.stages):
        assert changed[i] == (has[i] or any(changed[j] for j in built_on.get(stage.part, [])))
    assert any(changed)


def test_a_part_at_version_one_may_come_and_go(monkeypatch):
    assert Vae.version == 1
    before = keys(planner().run("vae", 0))
    monkeypatch.delattr(Vae, "version")
    assert "Vae" not in planner().run("vae", 0).stages[0].job["made_of"]["stage"]
    assert keys(planner().run("vae", 0)) == before


def test_the_loss_network_and_the_drawing_of_samples_count(monkeypatch):
    plain, perceptual = (planner(overrides={"glo": {"loss": loss}}).run("glo", 0) for loss in ("l2", "perceptual+l2"))
    assert "frozen" not in plain.stages[0].job["made_of"]
    assert perceptual.stages[0].job["made_of"]["frozen"].keys() == {"Lite2", "imagenet_lite2"}
    monkeypatch.setattr(Draws, "version", 2)
    changed = [a != b for a, b in zip(keys(plain), keys(planner().run("glo", 0)), strict=True)]
    assert changed == [False, False, True, True]


def test_how_codes_are_sought_counts_for_a_method_that_seeks_them_alone(monkeypatch):
    before = {name: keys(planner().run(name, 0)) for name in ("glo", "dcgan", "pca", "ae_ot_gan")}
    monkeypatch.setattr(Search, "version", Search.version + 1)
    changed = {
        name: [a != b for a, b in zip(was, keys(planner().run(name, 0)), strict=True)] for name, was in before.items()
    }
    assert changed == {
        "glo": [False, False, True, True], "dcgan": [False, True, True], "pca": [False] * 4, "ae_ot_gan": [False] * 5,
    }  # fmt: skip


PLUGIN = """
import torch
from latent_ot.methods.base import Method


class Own(Method):
    def __init__(self, config, spec):
        super().__init__(config, spec)
        {first}

    def training_step(self, batch, batch_idx):
        raise NotImplementedError

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


def test_a_plugin_counts_by_its_file_even_if_it_cannot_be_built(tmp_path):
    found = []
    for number, first in enumerate(("self.w = torch.nn.Linear(1, 1)", "self.w = torch.nn.Linear(1, 2)", "1 / 0")):
        path = tmp_path / str(number) / f"own{number}.py"
        path.parent.mkdir()
        path.write_text(PLUGIN.format(first=first))
        found.append(planner(plugins=[path]).run(path.stem, 0).stages[0].job["made_of"])
    assert len({json.dumps(made["plugin"].popitem()[1]) for made in found}) == 3
    assert found[0]["stage"].keys() == {"Stage", "Method"}
    assert "stage" not in found[2]


def test_keys_stay_what_they_are():
    """What changes these numbers orphans every result there is: nothing but another make-up of keys may.

    A metric that comes to what is measured moves the last one, of the evaluation alone, so that it is measured; records
    that lack it stay as they are.
    """
    found = {name: keys(planner().run(name, 0)) for name in ("glo", "wgan_gp", "ae_ot_gan")}
    points = keys(planner(dataset("points")).run("ae_ot_sd", 0))
    assert {**found, "points": points} == {
        "glo": ["d076cbace1c4897d", "0038ac06b65ff28f", "e9c3ceec1b497afe", "e40619a4627b77ab"],
        "wgan_gp": ["2b44f9cf520a3c6c", "73d33356677bb556", "311a877b35e4d57f"],
        "ae_ot_gan": [
            "97c27e4ebbafa908", "16b89414baac08bd", "52bf5664c3df9d6f", "e59ac2fcaba17c65", "0febc1375a16c8bd",
        ],
        "points": ["5bb5a25678ba7f3a", "b3ce841041bd1b2c", "f10df34b08c97d2f"],
    }  # fmt: skip
