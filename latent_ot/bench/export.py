"""Samples of a finished method as other evaluators read them: an array of all, or a folder with a picture of each."""

from pathlib import Path

import numpy as np
from PIL import Image

from latent_ot.bench.benchmark import Benchmark
from latent_ot.bench.pictures import as_trained, finished
from latent_ot.bench.sampling import draw
from latent_ot.errors import InputError
from latent_ot.files import check_out, shown, whole, writable

ARRAYS = (".npz", ".npy")
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of what is one picture; what has neither these nor those of arrays is a folder."""


def exports(out: Path | None) -> bool:
    """Whether ``--out`` asks for the samples themselves, not for one picture of them."""
    return out is not None and (out.is_dir() or out.suffix.lower() not in PICTURES)


def check(out: Path) -> None:
    """See that the samples can be written, before any is drawn.

    Raises:
        InputError: if a folder holds files already, or a file has the name of the folder.
        StoreError: if it takes no files.
    """
    if out.suffix.lower() in ARRAYS:
        check_out(out)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "holds files" if out.is_dir() else "is a file"
        raise InputError(
            f"--out '{shown(out)}' {what}; allowed: a new or an empty folder, or a file .npz, .npy or .png"
        )
    else:
        writable(out.parent, f"--out '{shown(out)}': folder")


@as_trained
def export(benchmark: Benchmark, method: str, seed: int, n: int, out: Path) -> None:
    """Draw ``n`` samples, those that were scored if the seed is the run's, and write them.

    ``out``: ``.npy``, or ``.npz`` with the one array ``arr_0``: uint8 (n, H, W, C), of 2-D sets float32 (n, 2); else it
    is a folder of PNG files, ``00000.png`` and on, in the order in which they were drawn.

    Raises:
        InputError: for 2-D points in a folder, or a method that is not trained yet.
    """
    dataset, suffix = benchmark.dataset, out.suffix.lower()
    if dataset.kind == "points" and suffix not in ARRAYS:
        raise InputError(f"--out '{shown(out)}': {dataset.id} holds 2-D points; allowed: a file .npz, .npy or .png")
    samples = draw(finished(benchmark, method, seed), n, seed)
    write(out, np.ascontiguousarray((samples.permute(0, 2, 3, 1) if samples.ndim == 4 else samples).numpy()))


def write(out: Path, samples: np.ndarray) -> None:
    """Write samples, uint8 (n, H, W, C) or float32 (n, 2); see ``export``. All of it appears at once."""
    suffix = out.suffix.lower()
    with whole(out, need=samples.nbytes) as part:
        if suffix in ARRAYS:
            with part.open("wb") as file:
                np.save(file, samples) if suffix == ".npy" else np.savez(file, samples)
            return
        part.mkdir()
        for number, image in enumerate(samples):
            Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(part / f"{number:05d}.png")
