"""Images of your own, as arrays: train a method on them, draw from it, score it. ``python examples/own_images.py``.

The arrays here are scikit-learn's handwritten digits; yours may be uint8 or float in [0, 1], grey or colour, a
DataLoader, a Hugging Face data set or a list of Pillow images.
"""

import argparse

from sklearn.datasets import load_digits

import latent_ot as lo

parser = argparse.ArgumentParser(description="Train, draw and score on arrays of your own.")
parser.add_argument("--method", default="pca+gmm", help="a name of `latent-ot list`")
parser.add_argument("--budget", default="smoke", help="smoke takes seconds, ci minutes")
parser.add_argument("--out", default="own_images.png")
parser.add_argument("--store", default="runs", help="where trained stages live")
parser.add_argument("--data-dir", default="data", help="where the arrays are kept")
args = parser.parse_args()

images = load_digits().images / 16  # (1797, 8, 8), floats in [0, 1]
images = images.repeat(4, axis=1).repeat(4, axis=2)  # to 32 pixels, as the evaluator knows them

places = {"store": args.store, "data_dir": args.data_dir}
run = lo.train(args.method, images, args.budget, evaluator="digits", **places)  # one image in ten is held back
print(f"trained: {run.folder}")

x = run.sample(64, seed=0)
run.picture(64).save(args.out)
print(f"{args.out}: samples {tuple(x.shape)} {x.dtype}")

for name, value in run.evaluate().items():
    print(f"{name:<18} {value:.4g}")
