"""DINOv2 behind torch-fidelity's extractor, with a small network and weights made here in the real ones' places."""

import urllib.error

import pytest
import torch
from scoring import noise
from torch import nn

from latent_ot.errors import InputError, TooFew
from latent_ot.files import sha256
from latent_ot.metrics.evaluators.dinov2 import DINOV2, DinoV2
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.features import FeatureSet, extract
from latent_ot.metrics.score import score_images

HUBCONF = """
dependencies = ["torch"]
import torch


def dinov2_vitl14(*, pretrained=True):
    assert not pretrained
    return torch.nn.Sequential(torch.nn.AvgPool2d(28), torch.nn.Flatten(), torch.nn.Linear(192, 12))
"""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch's cache with the network's code, and nothing else; there is no network to fetch from."""

    def offline(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    code = tmp_path / "hub" / "facebookresearch_dinov2_main"
    code.mkdir(parents=True)
    (code / "hubconf.py").write_text(HUBCONF)
    return tmp_path / "hub"


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.AvgPool2d(28), nn.Flatten(), nn.Linear(192, 12))
    torch.save(net.state_dict(), tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


def test_features_are_the_networks_of_images_as_torch_fidelity_brings_them_to_it(hub, weights):
    evaluator = load_evaluator("dinov2", weights)
    images = noise(3, 3, 224)  # no resize is left to do
    features, logits = evaluator(images)
    assert (features.shape, logits.shape, evaluator.checksum) == ((3, 12), (3, 0), sha256(weights))
    linear = torch.load(weights, weights_only=True)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pooled = nn.functional.avg_pool2d((images / 255 - mean) / std, 28).flatten(1)
    torch.testing.assert_close(features, pooled @ linear["2.weight"].T + linear["2.bias"], rtol=1e-4, atol=1e-5)
    grey = noise(2, 1, 32)
    assert torch.equal(evaluator(grey)[0], evaluator(grey.repeat(1, 3, 1, 1))[0])
    assert evaluator.resize("dinov2") == "bilinear, as TensorFlow 1, to 224 px"


def test_weights_in_torchs_cache_are_taken_without_a_word(hub, weights):
    assert "https://dl.fbaipublicfiles.com/dinov2" in DinoV2.lacks("dinov2")
    DINOV2.kept.parent.mkdir()
    DINOV2.kept.write_bytes(weights.read_bytes())
    assert DINOV2.kept == hub / "checkpoints" / "dinov2_vitl14_pretrain.pth"
    assert DinoV2.lacks("dinov2") is None
    assert load_evaluator("dinov2").checksum == sha256(weights)


def test_figures_of_classes_say_that_it_tells_none_apart(hub, weights):
    real, fake = (extract(load_evaluator("dinov2", weights), images) for images in (noise(24), noise(24).flip(0)))
    reasons = {}
    found, _ = score_images(real, fake, 0, reasons)
    assert found["fid"] == pytest.approx(0, abs=1e-6)
    assert set(reasons) == {"is", "is_std", "class_tv", "classes", "confidence"}
    assert set(reasons.values()) == {"the evaluator tells no classes apart"}
    with pytest.raises(TooFew, match="tells no classes apart"):
        _ = FeatureSet(torch.zeros(2, 3), torch.zeros(2, 0)).logits


def test_what_is_missing_is_one_line_that_says_what_to_fetch(hub, weights, tmp_path):
    for make, said in (
        (
            lambda: DinoV2("dinov2"),
            "pretrain.pth' is missing and cannot be downloaded (no route to host)",
        ),
        (lambda: DinoV2("dinov2", tmp_path / "none.pth"), "none.pth' is not a file; fetch https://dl.fbaipublicfiles"),
    ):
        with pytest.raises(InputError) as error:
            make()
        assert said in str(error.value)
        assert "--weights dinov2=FILE" in str(error.value)
    torch.save({"x": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"holds other weights .*; allowed: the weights of DINOv2's"):
        DinoV2("dinov2", tmp_path / "other.pth")
    for path in sorted((hub / "facebookresearch_dinov2_main").iterdir(), reverse=True):
        path.unlink() if path.is_file() else [inner.unlink() for inner in path.iterdir()] + [path.rmdir()]
    (hub / "facebookresearch_dinov2_main").rmdir()
    with pytest.raises(InputError, match=r"its network cannot be loaded \(.*; unpack https://github.com/facebookres"):
        DinoV2("dinov2", weights)
