"""Score anyone's images by how well a finished method with an encoder knows them, beside images held out from it."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latent_ot.bench import contract
from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.load import decoding, load_stage
from latent_ot.bench.pictures import as_trained, folders
from latent_ot.bench.train import as_tensor
from latent_ot.datasets.folder import read_like
from latent_ot.datasets.order import numpy_generator
from latent_ot.errors import Declined, InputError
from latent_ot.methods.base import Method
from latent_ot.metrics.quality import Report, Row, highest_density, quality_scores, reconstruction_errors
from latent_ot.pictures.images import save_strip
from latent_ot.stage import as_float

CHUNK = 500
REFERENCE = 20_000  # held-out images behind the region of highest density and its test, a random subset of more


@as_trained
def quality(benchmark: Benchmark, method: str, seed: int, images: Path, n: int, level: float, out: Path) -> Report:
    """Score every image under ``images`` and write the ``n`` best above the ``n`` worst.

    Args:
        benchmark: of the one method.
        method: its name.
        seed: of its run.
        images: a folder; any sizes and formats, which are brought to the method's shape as training images were.
        n: images in each row of the picture.
        level: share of images like the training images, but not among them, that is to lie outside the region of
            highest density. One half of the held-out images sets its border, the other tells the share reached.
        out: the picture.

    Raises:
        InputError: for 2-D points, a method without an encoder or not trained yet, a folder without images, or fewer
            than two held-out images.
    """
    dataset = benchmark.dataset
    if dataset.kind != "image":
        raise InputError(f"quality scores images; {dataset.id} holds 2-D points")
    device = torch.device(benchmark.resources.device)
    model = load_stage(benchmark.catalog, decoding(folders(benchmark, method, seed))).to(device)
    assert isinstance(model, Method)
    named, unreadable = read_like(images, dataset.shape)
    rows = numpy_generator(0, "quality").permutation(len(dataset.test))[:REFERENCE]
    try:
        errors = _errors(model, as_tensor(np.stack(list(named.values()))))
        region = highest_density(_errors(model, as_tensor(dataset.test[rows])), level)
    except Declined as reason:
        raise InputError(f"{method} scores no images: {reason}") from None
    scored = zip(named, errors.tolist(), quality_scores(errors).tolist(), strict=True)
    found = [Row(*row, inside=row[1] <= region.threshold) for row in scored]
    found.sort(key=lambda row: (row.error, row.file))
    best = [named[row.file] for row in found[:n]]
    worst = [named[row.file] for row in found[::-1][:n]]
    save_strip(out, np.stack(best), np.stack(worst))
    return Report(method, dataset.id, level, region, tuple(found), tuple(unreadable))


@torch.no_grad()
def _errors(model: Method, images: Tensor) -> Tensor:
    """Return the reconstruction errors (n,) of uint8 images (n, C, H, W), in units of [0, 1] pixels."""
    chunks = (as_float(chunk).to(model.device) for chunk in images.split(CHUNK))
    rebuilt = ((x, contract.decode(model, contract.encode(model, x))) for x in chunks)
    return torch.cat([reconstruction_errors(x, y) for x, y in rebuilt]).cpu()
