"""Score images that were made elsewhere, under the same protocol as every method of the suite.

``python examples/evaluate_images.py --images FOLDER --dataset mnist5k`` takes a folder of pictures, or a file of
NumPy's with an array of them; without either, scikit-learn's digits are scored, as they are and with noise.
"""

import argparse
from pathlib import Path

import numpy as np

import latent_ot as lo
from latent_ot.datasets.base import load

parser = argparse.ArgumentParser(description="Score images of any origin against a data set.")
parser.add_argument("--images", help="a folder, or a file of NumPy's: (N, H, H), (N, H, H, C) or (N, C, H, H)")
parser.add_argument("--dataset", default="digits", help="what they are to resemble; `latent-ot list`")
parser.add_argument("--evaluator", help="feature network; default: the data set's own")
parser.add_argument("--store", default="runs", help="where features of real images are kept")
parser.add_argument("--data-dir", default="data", help="where data sets lie")
args = parser.parse_args()


def show(what: str, images: object) -> None:
    """Print the scores of some images."""
    found = lo.evaluate(images, args.dataset, args.evaluator, store=args.store, data_dir=args.data_dir)
    print(f"{what:<28}", "  ".join(f"{key} {found[key]:.4g}" for key in ("fid", "is", "kid", "prd_f8", "prd_f1_8")))


if args.images:
    show(args.images, np.load(args.images) if args.images.endswith(".npy") else args.images)
else:
    held_out = load(args.dataset, Path(args.data_dir)).test / 255
    show("held-out images", held_out)
    for level in (0.05, 0.2):
        noise = np.random.default_rng(0).normal(0, level, held_out.shape)
        show(f"with noise of {level}", (held_out + noise).clip(0, 1))
