"""``latent-ot train-evaluator``: train a small classifier of a domain and state beside it how good it is."""

import hashlib
import json
import math
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from latent_ot._version import __version__
from latent_ot.config import Config
from latent_ot.datasets.base import Dataset, load
from latent_ot.datasets.order import batch_rows
from latent_ot.errors import InputError, choose
from latent_ot.files import writable, write_atomic
from latent_ot.metrics.evaluators.base import WEIGHTS
from latent_ot.metrics.evaluators.small import SmallNet
from latent_ot.seeding import derive, generator


class Recipe(Config):
    """How one classifier is trained: Nesterov SGD, a rate that rises over the first fifth and falls to zero."""

    epochs: PositiveInt
    batch_size: PositiveInt = 128
    lr: PositiveFloat = Field(default=0.2, description="highest learning rate")
    weight_decay: float = Field(default=5e-4, ge=0)
    rotate: float = Field(default=0.0, ge=0, description="largest rotation in degrees")
    zoom: float = Field(default=0.0, ge=0, lt=1, description="largest relative change of size")
    shift: float = Field(default=0.0, ge=0, description="largest shift in pixels")
    flip: bool = Field(default=False, description="mirror left and right")
    exclude: str | None = Field(default=None, description="data set whose images are taken out of the training set")


RECIPES = {
    "digits": Recipe(epochs=30, rotate=10, zoom=0.1, shift=2),
    # all of mnist5k's digits come from MNIST's training images, and it is scored by this classifier
    "mnist": Recipe(epochs=10, rotate=10, zoom=0.1, shift=2, exclude="mnist5k"),
    "fashion_mnist": Recipe(epochs=14, shift=2, flip=True),
    "cifar10": Recipe(epochs=24, shift=4, flip=True),
}


def train_evaluator(
    name: str,
    data_dir: Path,
    out: Path | None = None,
    seed: int = 0,
    dataset: str | None = None,
    epochs: int | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train the evaluator called ``name`` and write ``<out>/<name>.safetensors`` and the statement ``<name>.json``.

    Args:
        name: a key of ``RECIPES``.
        data_dir: the user's data folder.
        out: folder for the two files; of a checkout the package's own by default.
        seed: of initialisation, order and augmentation.
        dataset: what to train on, the set called ``name`` by default (``cifar10_25k`` for a part of CIFAR-10).
        epochs: instead of the recipe's.
        device: where to train.

    Returns:
        The statement: test accuracy, data, exclusion, command, checksum, architecture and versions.

    Raises:
        InputError: if the name or the data set is unknown, has no labels, or lacks an image that is to be excluded.
    """
    recipe = RECIPES[choose("evaluator to train", name, RECIPES)]
    recipe = Recipe.build({**recipe.model_dump(), "epochs": epochs or recipe.epochs}, "train-evaluator")
    out = out or WEIGHTS
    writable(out, "--out folder")  # said before minutes are spent on training
    data = load(dataset or name, data_dir)
    if data.kind != "image" or data.train_labels is None or data.test_labels is None:
        raise InputError(f"data set '{data.id}' has no labelled images; allowed: a labelled image set for '{name}'")
    rows = np.arange(len(data.train))
    excluded = None
    if recipe.exclude:
        other = load(recipe.exclude, data_dir)
        rows = without(data, other)
        excluded = {"id": other.id, "content_id": other.content_id, "images": len(data.train) - len(rows)}
    start = time.perf_counter()
    net = _fit(name, data, rows, recipe, seed, torch.device(device))
    seconds = time.perf_counter() - start

    more = [*(["--dataset", dataset] if dataset else []), "--epochs", str(recipe.epochs), "--seed", str(seed)]
    content = save({key: value.cpu().contiguous() for key, value in net.state_dict().items()})
    card = {
        "name": name,
        "test_accuracy": accuracy(net, data.test, data.test_labels),
        "test_images": len(data.test),
        "data": {"id": data.id, "content_id": data.content_id, "images": len(rows)},
        "excluded": excluded,
        "command": " ".join(["latent-ot train-evaluator", name, "--data-dir DATA_DIR", *more]),
        "sha256": hashlib.sha256(content).hexdigest(),
        "architecture": {"channels": net.channels, "classes": net.head.out_features, "widths": net.widths},
        "parameters": sum(p.numel() for p in net.parameters()),
        "seed": seed,
        "recipe": recipe.model_dump(exclude={"exclude"}),
        "seconds": round(seconds),
        "versions": {"latent_ot": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    write_atomic(out / f"{name}.safetensors", content, durable=True)
    write_atomic(out / f"{name}.json", (json.dumps(card, indent=2) + "\n").encode(), durable=True)
    return card


def without(data: Dataset, other: Dataset) -> np.ndarray:
    """Return the training rows of ``data`` whose image is, byte for byte, none of ``other``'s (train and test).

    Raises:
        InputError: if an image of ``other`` is not among them at all; then the two are not made from the same files.
    """
    taken = {image.tobytes() for split in (other.train, other.test) for image in split}
    known = [image.tobytes() in taken for image in data.train]
    absent = len(taken) - len({image.tobytes() for image, hit in zip(data.train, known, strict=True) if hit})
    if absent:
        raise InputError(f"data set '{data.id}' lacks {absent} of the {len(taken)} images of '{other.id}'")
    return np.flatnonzero(~np.array(known))


@torch.no_grad()
def accuracy(net: SmallNet, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of uint8 images (N, H, W, C) that the network, in eval mode, classifies rightly."""
    device = net.head.weight.device
    chunks = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).split(500)
    guesses = torch.cat([net(chunk.to(device).float() / 255)[1].argmax(dim=1).cpu() for chunk in chunks])
    return float((guesses.numpy() == labels).mean())


def augment(x: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Rotate, zoom, shift and mirror each image (n, C, H, W) by its own random amount; what comes in is black."""
    n, size = len(x), x.shape[-1]
    uniform = 2 * torch.rand(5, n, generator=rng) - 1
    angle, zoom = math.radians(recipe.rotate) * uniform[0], 1 + recipe.zoom * uniform[1]
    pixels = recipe.shift * uniform[2:4]
    if not (recipe.rotate or recipe.zoom):  # then nothing need be interpolated: whole pixels keep images sharp
        pixels = pixels.round()
    mirror = torch.where(uniform[4] < 0, -1.0, 1.0) if recipe.flip else torch.ones(n)
    rows = [mirror * zoom * angle.cos(), -zoom * angle.sin(), 2 * pixels[0] / size]
    rows += [mirror * zoom * angle.sin(), zoom * angle.cos(), 2 * pixels[1] / size]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(n, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid.to(x.device), align_corners=False)


def _fit(name: str, data: Dataset, rows: np.ndarray, recipe: Recipe, seed: int, device: torch.device) -> SmallNet:
    images = torch.from_numpy(np.array(data.train[rows])).permute(0, 3, 1, 2).contiguous().to(device)
    labels = torch.from_numpy(np.array(data.train_labels)[rows]).to(device)
    torch.manual_seed(derive(seed, "init"))
    net = SmallNet(images.shape[1], int(labels.max()) + 1).to(device)
    optimizer = torch.optim.SGD(
        net.parameters(), recipe.lr, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    per_epoch = max(1, len(rows) // recipe.batch_size)
    total, start = per_epoch * recipe.epochs, time.perf_counter()
    for step in range(total):
        done = step / total
        optimizer.param_groups[0]["lr"] = recipe.lr * min(5 * done + 0.02, (1 - done) / 0.8)
        chosen = torch.from_numpy(batch_rows(seed, len(rows), recipe.batch_size, step)).to(device)
        batch = augment(images[chosen].float() / 255, recipe, generator(seed, "augment", step))
        loss = F.cross_entropy(net(batch)[1], labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % per_epoch == 0:
            spent = time.perf_counter() - start
            rate = (step + 1) * recipe.batch_size / spent
            left = spent * (total - step - 1) / (step + 1)
            epoch = f"{(step + 1) // per_epoch}/{recipe.epochs}"
            print(
                f"{name}: epoch {epoch}, loss {loss.item():.4f}, {rate:,.0f} images/s, {left:.0f} s left",
                file=sys.stderr,
            )
    return net.eval()
