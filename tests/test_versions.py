"""Every class that numbers depend on states a version of its own, and no two of them share a name."""

import collections
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from latent_ot.catalog import Catalog
from latent_ot.discovery import discover, files
from latent_ot.errors import InputError
from latent_ot.identity import lineage
from latent_ot.losses.backbones import VGG_FILE, backbone_parts
from latent_ot.methods._adversarial_vae import AdversarialVae
from latent_ot.methods.gldo import Gldo
from latent_ot.methods.glo import Glo
from latent_ot.methods.sdkl_ns import SdklNs
from latent_ot.metrics.base import Metric, metrics, metrics_for
from latent_ot.metrics.evaluators.base import WEIGHTS, Evaluator
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.evaluators.imagenet import LITES
from latent_ot.networks.base import Family
from latent_ot.networks.ema import Ema
from latent_ot.networks.families import families, families_of, networks
from latent_ot.networks.fc import Decoder
from latent_ot.networks.mlp import Mlp
from latent_ot.quantities import MEASURED_OF, OF_RUNS, QUANTITIES, Quantity
from latent_ot.samplers.base import LatentSampler

CATALOG = Catalog()
STAGES = [CATALOG.stage(kind, name) for kind, names in CATALOG.files.items() for name in names]
NETWORKS = [*discover("networks", Family).values()]
PARTS = [*dict.fromkeys(c for stage in STAGES for c in stage.__mro__ if "version" in c.__dict__), *NETWORKS, *metrics()]


EVALUATORS = [*discover("metrics/evaluators", Evaluator).values()]


@pytest.mark.parametrize("kind", [*STAGES, *NETWORKS, *metrics(), *EVALUATORS], ids=lambda kind: kind.__name__)
def test_each_concrete_class_states_a_version_of_its_own(kind):
    assert type(kind.__dict__["version"]) is int
    assert kind.__dict__["version"] >= 1


def test_a_name_stands_for_one_class():
    counts = collections.Counter(kind.__name__ for kind in [*PARTS, *EVALUATORS])
    assert not [name for name, count in counts.items() if count > 1]


def test_a_stage_counts_the_versions_that_it_inherits():
    assert list(lineage(SdklNs)) == ["SdklNs", "Sdkl", "AdversarialVae", "Adversarial", "Method", "Stage"]
    assert lineage(AdversarialVae)["Adversarial"] == 1

    class Newer(SdklNs):
        version = 7

    assert lineage(Newer) == {"Newer": 7, **lineage(SdklNs)}


def test_every_file_of_networks_and_of_metrics_states_what_it_holds():
    assert files("networks").keys() - discover("networks", Family).keys() == {"families"}
    assert files("metrics").keys() - discover("metrics", Metric).keys() == {
        "estimate",
        "features",
        "inputs",
        "pairwise",
        "score",
        "training",
    }


def test_pairs_of_networks_have_the_names_that_methods_take():
    known = "dcgan infogan iwgan_celeba iwgan_mnist mlp sdkl sngan sngan_resnet toy vaegan wae wgan_div_resnet wgan_qc"
    assert sorted(families()) == known.split()
    for name in ("fc", "began", "pggan", "ema"):
        with pytest.raises(InputError, match="allowed: dcgan"):
            networks(name, 4, (1, 16, 16))


def names_of(module):
    return {family.__name__ for family in families_of(module)}


def test_a_module_is_made_of_the_families_whose_classes_it_holds_or_inherits():
    shape = (1, 16, 16)
    assert names_of(networks("infogan", 4, shape, 0.1).generator) == {"InfoganNetworks"}
    assert names_of(networks("sngan_resnet", 4, shape, 0.1).critic) == {
        "SnganResnetNetworks",
        "WganDivResnetNetworks",
    }
    assert names_of(networks("vaegan", 4, shape, 0.1).critic) == {"SdklNetworks", "VaeganNetworks"}
    assert names_of(networks("toy", 4, (2,), 0.1).critic) == {"MlpNetworks", "ToyNetworks"}
    assert names_of(networks("iwgan_mnist", 4, shape, 0.1).critic) == {"IwganMnistNetworks"}
    both = nn.ModuleList([Ema(Mlp([2, 3]), 0.9), Decoder(2, shape, 0.1)])
    assert names_of(both) == {"EmaNetworks", "FcNetworks", "MlpNetworks"}
    assert names_of(nn.Linear(2, 2)) == set()


def test_every_figure_of_a_record_comes_from_one_metric():
    made = collections.Counter(key for metric in metrics() for key in metric.quantities)
    assert max(made.values()) == 1
    results = Path(__file__).parents[1] / "leaderboards" / "results"
    recorded = {key for path in results.glob("*.json") for key in json.loads(path.read_text())["metrics"]}
    assert recorded
    assert recorded <= made.keys()
    assert QUANTITIES.keys() - {quantity.key for quantity in OF_RUNS} == made.keys()


def test_tables_show_metrics_as_their_files_say_though_they_import_none():
    for metric in metrics():
        kind = MEASURED_OF.get(metric.measures, "")
        assert {key: Quantity(key, **card, of=kind) for key, card in metric.quantities.items()} == {
            key: QUANTITIES[key] for key in metric.quantities
        }


def test_a_quantity_says_which_data_have_it():
    found = {QUANTITIES[key].of for metric in metrics() for key in metric.quantities}
    assert found == {"image", "points", "clip", ""}
    assert {QUANTITIES[key].of for key in ("fid", "psnr", "kid", "interp_smoothness", "sharpness")} == {"image"}
    assert {QUANTITIES[key].of for key in ("ot_divergence", "modes", "quality_spearman")} == {"points"}
    assert {QUANTITIES[key].of for key in ("code_w2", "discriminator_auc", "seconds")} == {""}


def test_metrics_are_told_apart_by_what_they_measure():
    assert metrics_for("samples") == {
        "ClassShares": 1,
        "Fid": 1,
        "FidInf": 1,
        "InceptionScore": 1,
        "PrecisionRecallCurve": 1,
        "Recognition": 1,
    }
    assert metrics_for("pairs") == {"Kid": 1, "Prdc": 1}
    assert metrics_for("points") == {"Modes": 1, "OtDivergence": 1}
    assert metrics_for("reconstructions") == {"Psnr": 1, "Ssim": 1}
    assert metrics_for("walks") == {"Smoothness": 1}
    assert metrics_for("codes") == {"CodeDistance": 1, "CodeFloor": 1, "LatentCodes": 1}
    assert metrics_for("pictures", "prior") == {"CodeMoments": 1, "Sharpness": 1}
    assert metrics_for("point_walks", "qualities") == {"QualityRank": 1, "WalkModes": 1}
    assert metrics_for("scores") == {"DiscriminatorAuc": 1}
    assert metrics_for("clip") == {"Cmmd": 1}
    assert metrics_for("copies") == {"Authenticity": 1, "CopyTest": 1, "FidHeldOut": 1, "LikelihoodGap": 1}


def test_a_perceptual_loss_is_a_part_of_the_stages_that_have_one():
    digest = load_evaluator("digits").checksum[:16]
    config = Glo.Config(loss="perceptual+l2", backbone="digits")
    assert Glo.frozen_parts(config) == {"Small": 1, "digits": digest}
    assert Gldo.frozen_parts(Gldo.Config(loss="perceptual+l2", backbone="vgg16")) == {"vgg16": VGG_FILE}
    assert Glo.frozen_parts(Glo.Config(loss="perceptual+l2")) == {
        "Lite2": 1,
        "imagenet_lite2": LITES["imagenet_lite2"].sha256,
    }
    assert Glo.frozen_parts(Glo.Config()) == {}
    assert LatentSampler.frozen_parts(LatentSampler.Config()) == {}
    for name in (path.stem for path in WEIGHTS.glob("*.safetensors")):
        assert backbone_parts(name).keys() == {"Small", name}
    for name in ("inception", "digit"):
        with pytest.raises(InputError, match="allowed: cifar10, digits"):
            backbone_parts(name)


def test_networks_of_one_file_draw_and_store_as_plain_layers_do():
    torch.manual_seed(0)
    made = Mlp([2, 3, 4], "leaky_relu", norm=True)
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.LeakyReLU(), nn.Linear(3, 4))
    assert list(made.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(made.state_dict().values(), plain.state_dict().values(), strict=True))
