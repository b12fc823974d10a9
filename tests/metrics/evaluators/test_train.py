"""Training an evaluator: what it writes, what it leaves out and what it refuses."""

from dataclasses import replace

import pytest
import torch
from scoring import noise, right

from latent_ot.datasets.base import load
from latent_ot.errors import InputError, StoreError
from latent_ot.metrics.evaluators import train
from latent_ot.metrics.evaluators.base import Evaluator
from latent_ot.metrics.evaluators.find import load_evaluator
from latent_ot.metrics.evaluators.train import Recipe, augment, train_evaluator, without
from latent_ot.seeding import generator


def test_augmentation_without_amounts_is_the_identity_and_shifts_are_whole_pixels():
    x = noise(50).float() / 255
    still = augment(x, Recipe(epochs=1), generator(0, "test"))
    assert torch.allclose(still, x, atol=1e-4)
    moved = augment(x, Recipe(epochs=1, shift=2, flip=True), generator(0, "test"))
    levels = (moved * 255 - (moved * 255).round()).abs()
    assert levels.max() < 0.05  # pixels are carried over, none is interpolated
    assert not torch.allclose(moved, x, atol=0.1)


@pytest.mark.slow
def test_training_writes_what_can_be_loaded_and_repeats(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(train.RECIPES, "digits", Recipe(epochs=3, lr=0.1))
    cards = [train_evaluator("digits", tmp_path, tmp_path / out, seed=1) for out in ("one", "two")]
    assert cards[0]["sha256"] == cards[1]["sha256"]
    assert cards[0]["test_accuracy"] > 0.5
    evaluator = load_evaluator("digits", tmp_path / "one" / "digits.safetensors")
    assert isinstance(evaluator, Evaluator)
    data = load("digits", tmp_path)
    assert right(evaluator, data.test, data.test_labels) == pytest.approx(cards[0]["test_accuracy"], abs=0.01)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "epoch 3/3" in captured.err
    assert "images/s" in captured.err


def test_exclusion_takes_out_every_copy_and_demands_all(tmp_path):
    data = load("digits", tmp_path)
    part = load("digits", tmp_path, subset=100)
    other = replace(part, test=part.train[:0])
    left = without(data, other)
    gone = {x.tobytes() for x in part.train}
    assert len(left) <= 1337
    assert not gone & {data.train[i].tobytes() for i in left}
    with pytest.raises(InputError, match="lacks"):
        without(part, data)


def test_training_needs_labels_and_a_folder_to_write_to(tmp_path):
    with pytest.raises(InputError, match="no labelled images"):
        train_evaluator("digits", tmp_path, tmp_path / "out", dataset="moons")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        train_evaluator("digits", tmp_path, tmp_path / "file" / "out")
