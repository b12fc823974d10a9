"""CLIP behind torch-fidelity's extractor, with a small network and weights made here in the place of the real ones."""

import urllib.error

import pytest
import torch
from scoring import noise
from torch import nn
from torch_fidelity import registry
from torch_fidelity.feature_extractor_clip import MODEL_URLS, VisionTransformer

from latent_ot.bench.identity import scoring
from latent_ot.errors import InputError
from latent_ot.files import sha256
from latent_ot.metrics.evaluators.clip import CLIP, MODEL, SHA256, Clip
from latent_ot.metrics.evaluators.find import load_evaluator


class Held(nn.Module):
    """Tensors under the names that they have in a state dictionary, which TorchScript can keep."""

    def __init__(self, state):
        super().__init__()
        for name in {key.partition(".")[0] for key in state}:
            inside = {key.partition(".")[2]: value for key, value in state.items() if key.partition(".")[0] == name}
            if "" in inside:
                self.register_parameter(name, nn.Parameter(inside[""], requires_grad=False))
            else:
                self.add_module(name, Held(inside))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An archive as OpenAI's: two layers at 8 px, rounded to half precision as theirs are."""
    torch.manual_seed(0)
    visual = VisionTransformer(input_resolution=8, patch_size=4, width=64, layers=2, heads=1, output_dim=16)
    state = {f"visual.{name}": value.half() for name, value in visual.state_dict().items()}
    path = tmp_path_factory.mktemp("clip") / "mine.pt"
    torch.jit.script(Held({**state, "text_projection": torch.zeros(4, 16)})).save(str(path))
    return path


def test_it_is_torch_fidelitys_extractor(weights):
    ours = load_evaluator("clip", weights)
    theirs = registry.FEATURE_EXTRACTORS_REGISTRY[MODEL](MODEL, ["clip"], str(weights))
    colour = noise(3, 3)
    features, logits = ours(colour)
    assert torch.equal(features, theirs(colour)[0])
    assert (features.shape, logits.shape, ours.checksum) == ((3, 16), (3, 0), sha256(weights))
    assert features.std(dim=0).min() > 0
    grey = noise(2, 1)
    assert torch.equal(ours(grey)[0], ours(grey.repeat(1, 3, 1, 1))[0])


def test_the_stated_address_and_checksum_are_torch_fidelitys():
    assert CLIP.url == MODEL_URLS[MODEL]
    assert SHA256 in CLIP.url
    assert CLIP.kept.name == f"{MODEL}-{SHA256}.pt"  # as it names the file in torch's cache


def test_cmmd_is_measured_in_its_features_and_in_no_others():
    assert "Cmmd" in scoring("evaluate", "image", "clip")["metrics"]
    for name in ("mnist", "inception", "dinov2", None):
        assert "Cmmd" not in scoring("evaluate", "image", name)["metrics"]
    assert "Cmmd" not in scoring("reconstruct", "image", "clip")["metrics"]


def test_what_is_missing_damaged_or_anothers_is_one_line(weights, monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(InputError, match=r"clip weights: .* cannot be downloaded \(no route .* --weights clip=FILE"):
        Clip("clip")
    assert "(934 MB) is downloaded at its first use" in Clip.lacks("clip")
    CLIP.kept.parent.mkdir(parents=True)
    CLIP.kept.write_bytes(weights.read_bytes())
    with pytest.raises(InputError, match=f"has checksum .*; allowed: {SHA256}; fetch it again"):
        Clip("clip")
    (tmp_path / "half.pt").write_bytes(weights.read_bytes()[:1000])
    torch.save({"visual.proj": torch.zeros(2)}, tmp_path / "state.pt")
    for name in ("half.pt", "state.pt"):
        with pytest.raises(InputError, match=f"{name}' is damaged .*; allowed: the weights of OpenAI's CLIP"):
            Clip("clip", tmp_path / name)
