"""Generators that give training images back, blend them, or draw new ones, told apart on real digits."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from latent_ot.bench import evaluate
from latent_ot.bench import scorer as module
from latent_ot.bench.evaluate import _rebuilt, _save_copies, _training_images
from latent_ot.bench.scorer import Scorer
from latent_ot.bench.train import as_tensor
from latent_ot.datasets.base import load
from latent_ot.errors import Declined
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.training import nearest
from latent_ot.record import REBUILT
from latent_ot.stage import as_float

N = 200


def scorer_of(dataset, folder, n=N):
    rules = {"evaluator": "mnist", "checksum": load_evaluator("mnist", None).checksum, "n": n, "repeats": 1}
    return Scorer(dataset, rules, None, folder, torch.device("cpu"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memorising")
    return scorer_of(load("mnist5k", folder / "data", 600), folder / "cache")


def blends(digits):
    """Return training images mixed with those that look most like them, three parts to one."""
    known = digits.dataset.train[digits.known_rows]
    pixels = torch.from_numpy(np.array(digits.dataset.train)).flatten(1).float()
    other = nearest(pixels[digits.known_rows], pixels, 2)[1][:, 1].numpy()
    mixed = 0.75 * known + 0.25 * digits.dataset.train[other]
    return as_tensor(mixed.round().astype(np.uint8))


def test_training_images_blends_and_new_digits_are_ordered_by_every_figure(digits):
    kinds = {
        "copies": digits.known_images(),
        "blends": blends(digits),
        "new": as_tensor(np.array(digits.dataset.test[N : 2 * N])),
    }
    found = {name: digits.copies(digits.features(images), {}) for name, images in kinds.items()}
    for key, rising in (("copied", False), ("near_training", False), ("copy_test", True), ("fld_gap", True)):
        values = [found[name][key] for name in kinds]
        assert values == sorted(values, reverse=not rising), (key, values)
        assert values[0] != values[1] or key == "copied"
        assert values[1] != values[2]
    held_out = digits.copies(digits.features(digits.held_out), {})
    assert found["copies"]["copied"] == 1
    assert found["blends"]["copied"] > held_out["copied"].interval[1] > found["new"]["copied"]
    assert found["copies"]["copy_test"] < found["blends"]["copy_test"] < -3 < found["new"]["copy_test"]


def test_what_was_looked_at_is_kept_and_read_again(digits, tmp_path, monkeypatch):
    x = digits.features(digits.held_out)
    before = digits.copies(x, {})
    again = scorer_of(digits.dataset, digits.cache)
    monkeypatch.setattr(Scorer, "features", lambda *_: pytest.fail("they are kept"))
    assert again.copies(x, {}) == before
    assert len(again.dataset.train) == len(again.training.features) == 600


def test_more_training_images_than_fit_in_memory_are_a_reason(digits, monkeypatch):
    monkeypatch.setattr(module, "MOST", 4 * 128 * 599)
    fresh, reasons = scorer_of(digits.dataset, digits.cache), {}
    assert fresh.copies(digits.features(digits.held_out), reasons) == {}
    assert set(reasons) == {"copied", "near_training", "copy_test", "fld_gap", "fid_test"}
    assert {*reasons.values()} == {
        "copies are sought among all training images, which are 600; allowed: 599 at most, as are held in memory"
    }


def test_the_yardstick_of_training_images_is_scored_whole_where_the_reference_has_others(digits, monkeypatch):
    monkeypatch.setattr("latent_ot.metrics.prd.RUNS", 2)
    monkeypatch.setattr("latent_ot.metrics.prd.STARTS", 1)
    found = _training_images(digits, 0)
    assert {"fid", "is", "prd_f8", "recall", "copied", "copy_test"} <= found.keys()
    assert found["copied"] == 1
    all_in = scorer_of(digits.dataset, digits.cache, 400)  # of 600: the reference holds some of any 400
    assert not all_in.apart
    assert _training_images(all_in, 0).keys() <= {"copied", "near_training", "copy_test", "fld_gap", "fid_test"}


def test_rebuilt_training_images_are_those_of_their_own_codes(digits, monkeypatch):
    images = as_float(as_tensor(np.array(digits.dataset.train)))
    of = SimpleNamespace(scorer=digits, model=None, device=torch.device("cpu"))
    monkeypatch.setattr(evaluate.contract, "decode", lambda model, z: z.view(-1, 1, 32, 32))
    monkeypatch.setattr(evaluate, "_training_codes", lambda of: images.flatten(1))
    whole = _rebuilt(of, {})[REBUILT]
    assert whole["copied"] == 1
    assert whole["fid"] == pytest.approx(digits.fid(digits.known_images()), rel=1e-5)  # convolutions see strides
    monkeypatch.setattr(evaluate, "_training_codes", lambda of: None)
    monkeypatch.setattr(evaluate.contract, "encode", lambda model, x: x.flatten(1))
    assert _rebuilt(of, {})[REBUILT] == whole

    def decline(model, x):
        raise Declined("a GAN has no encoder")

    monkeypatch.setattr(evaluate.contract, "encode", decline)
    reasons = {}
    assert _rebuilt(of, reasons) == {}
    assert reasons == {REBUILT: "a GAN has no encoder"}


def test_the_most_copied_samples_stand_above_the_images_that_they_copy(digits, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(evaluate, "save_strip", lambda path, above, below: drawn.update(above=above, below=below))
    known, new = digits.known_images()[:20], as_tensor(np.array(digits.dataset.test[N : N + 40]))
    samples = torch.cat([new, known])
    _save_copies(digits, samples, digits.features(samples), tmp_path)
    assert drawn["above"].shape == (10, 32, 32, 1)
    assert np.array_equal(drawn["above"], drawn["below"])  # exact copies come first
