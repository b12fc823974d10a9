"""Load what was trained before, from its folder alone: draw, encode, reconstruct.

``python examples/load_and_sample.py runs/stages/...`` takes the folder that ``latent-ot train`` prints last; without
one, PCA and a Gaussian are trained on scikit-learn's digits first, which takes seconds.
"""

import argparse

import latent_ot as lo

parser = argparse.ArgumentParser(description="Load a trained method and draw from it.")
parser.add_argument("folder", nargs="?", help="of the stage that was trained last")
parser.add_argument("--n", type=int, default=16)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--out", default="loaded.png")
parser.add_argument("--store", default="runs", help="where a first training goes")
parser.add_argument("--data-dir", default="data", help="where its images are kept")
args = parser.parse_args()

folder = args.folder or lo.train("pca", "digits", "smoke", store=args.store, data_dir=args.data_dir).folder
run = lo.load(folder)
print(f"{run.folder}: {', '.join(f'{role} {stage.name}' for role, stage in run.folders.items())}")

x = run.sample(args.n, args.seed)
run.picture(args.n, args.seed).save(args.out)
print(f"{args.out}: samples {tuple(x.shape)} {x.dtype}")

try:
    codes = run.encode(x)
    print(f"codes {tuple(codes.shape)}; decoded {tuple(run.decode(codes).shape)}")
    error = (run.reconstruct(x).float() - x.float()).abs().mean()
    print(f"reconstructed to {error:.2f} of 255 levels")
except ValueError as reason:  # a GAN has no encoder, say
    print(reason)
