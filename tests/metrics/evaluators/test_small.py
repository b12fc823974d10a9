"""Evaluators: the recorded accuracy, the checksum, and features that depend on the image alone."""

import json
import os
from pathlib import Path

import pytest
import torch
from scoring import noise, right

from latent_ot.datasets.base import available, load
from latent_ot.errors import InputError
from latent_ot.files import sha256
from latent_ot.metrics.evaluators.at_hand import ANY_DOMAIN
from latent_ot.metrics.evaluators.base import WEIGHTS
from latent_ot.metrics.evaluators.find import load_evaluator, names
from latent_ot.metrics.evaluators.small import SmallNet, conform
from latent_ot.metrics.evaluators.train import train_evaluator

NAMES = ["cifar10", "digits", "fashion_mnist", "mnist"]


@pytest.fixture(scope="module")
def digits():
    return load_evaluator("digits")


def test_every_evaluator_is_packaged_small_and_stated():
    assert names() == sorted([*NAMES, *ANY_DOMAIN])
    for name in NAMES:
        weights, card = WEIGHTS / f"{name}.safetensors", json.loads((WEIGHTS / f"{name}.json").read_text())
        assert weights.stat().st_size < 1.5e6
        assert card["sha256"] == sha256(weights) == load_evaluator(name).checksum
        assert card["command"].startswith(f"latent-ot train-evaluator {name} --data-dir DATA_DIR")
        assert "/" not in card["command"]
        assert len(card["data"]["content_id"]) == 12
    assert json.loads((WEIGHTS / "mnist.json").read_text())["excluded"]["id"] == "mnist5k"


@pytest.mark.parametrize(("name", "least"), [("digits", 0.98), ("mnist", 0.992), ("fashion_mnist", 0.92)])
def test_the_stated_accuracy_is_good_enough(name, least):
    assert json.loads((WEIGHTS / f"{name}.json").read_text())["test_accuracy"] >= least


def test_digits_reaches_its_stated_accuracy_on_held_out_digits(digits, tmp_path):
    data = load("digits", tmp_path)
    card = json.loads((WEIGHTS / "digits.json").read_text())
    assert card["data"]["content_id"] == data.content_id
    assert right(digits, data.test, data.test_labels) == pytest.approx(card["test_accuracy"], abs=1 / 360)


@pytest.mark.slow
def test_mnist_knows_digits_that_were_kept_from_it(tmp_path):
    data = load("mnist5k", tmp_path)
    card = json.loads((WEIGHTS / "mnist.json").read_text())
    assert card["excluded"]["content_id"] == data.content_id
    assert card["data"]["images"] + card["excluded"]["images"] == 60_000
    assert right(load_evaluator("mnist"), data.test, data.test_labels) >= 0.985


@pytest.mark.skipif("LATENT_OT_DATA" not in os.environ, reason="LATENT_OT_DATA names no folder with the real images")
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_the_stated_accuracy_is_that_of_the_real_test_images(name):
    card = json.loads((WEIGHTS / f"{name}.json").read_text())
    folder = Path(os.environ["LATENT_OT_DATA"])
    if available(folder).get(card["data"]["id"]) != "ready":
        pytest.skip(f"{card['data']['id']} is not in LATENT_OT_DATA")
    data = load(card["data"]["id"], folder)
    assert card["data"]["content_id"] == data.content_id
    assert right(load_evaluator(name), data.test, data.test_labels) == pytest.approx(card["test_accuracy"], abs=3e-4)


def test_features_do_not_depend_on_the_batch(digits):
    images = noise(7)
    features, logits = digits(images)
    assert (features.shape, logits.shape, features.dtype) == ((7, 128), (7, 10), torch.float32)
    assert (features >= 0).all()
    one_by_one = [digits(image[None]) for image in images]
    torch.testing.assert_close(torch.cat([f for f, _ in one_by_one]), features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.cat([k for _, k in one_by_one]), logits, rtol=1e-4, atol=1e-4)
    assert not features.requires_grad


def test_grey_as_rgb_and_enlarged_images_are_the_same_image():
    grey = noise(4).float() / 255
    assert torch.allclose(conform(grey.expand(-1, 3, -1, -1), 1), grey, atol=1e-6)
    assert torch.equal(conform(grey, 3), grey.expand(-1, 3, -1, -1))
    doubled = grey.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert conform(doubled, 1).shape == grey.shape
    assert (conform(doubled, 1) - grey).abs().mean() < 0.15
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    assert torch.allclose(
        conform(ramp, 1)[..., 2:-2], torch.linspace(0, 1, 64).unfold(0, 2, 2).mean(1)[2:-2], atol=1e-4
    )


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28), (3, 64)])
def test_any_channels_and_size_are_taken(digits, channels, size):
    assert digits(noise(2, channels, size))[0].shape == (2, 128)


@pytest.mark.parametrize(
    "images",
    [noise(2).float(), noise(2)[0], noise(2, 3)[:, :2], noise(2)[:0]],
    ids=["float", "3-D", "2 channels", "none"],
)
def test_other_than_uint8_images_are_refused(digits, images):
    with pytest.raises(InputError, match=r"allowed: torch\.uint8 \(N, 1 or 3, H, W\)"):
        digits(images)


def test_weights_with_another_checksum_are_refused(tmp_path):
    for ending in ("safetensors", "json"):
        (tmp_path / f"digits.{ending}").write_bytes((WEIGHTS / f"digits.{ending}").read_bytes())
    copy = tmp_path / "digits.safetensors"
    assert load_evaluator("digits", copy).checksum == load_evaluator("digits").checksum
    spoilt = bytearray(copy.read_bytes())
    spoilt[-1] ^= 1
    copy.write_bytes(spoilt)
    with pytest.raises(InputError, match="has checksum"):
        load_evaluator("digits", copy)
    (tmp_path / "digits.json").write_text("{}")
    with pytest.raises(InputError, match=r"digits\.json' is damaged"):
        load_evaluator("digits", copy)
    (tmp_path / "digits.json").unlink()
    with pytest.raises(InputError, match=r"digits\.json' is missing"):
        load_evaluator("digits", copy)


def test_unknown_evaluators_get_the_nearest_name():
    with pytest.raises(InputError, match="nearest: digits"):
        load_evaluator("digit")
    with pytest.raises(InputError, match="nearest: mnist"):
        train_evaluator("mnsit", WEIGHTS)


def test_maps_are_differentiable_and_end_in_the_features():
    torch.manual_seed(0)
    net = SmallNet(3).eval()
    x = torch.rand(2, 3, 32, 32, requires_grad=True)
    maps = net.maps(x)
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 32, 32), (32, 16, 16), (64, 8, 8), (128, 4, 4), (128, 4, 4)]
    torch.testing.assert_close(maps[-1].mean(dim=(2, 3)), net(x)[0])
    assert torch.autograd.grad(maps[1].sum(), x)[0].abs().sum() > 0
