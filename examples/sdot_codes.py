"""The semi-discrete solver alone, on codes of any origin: solve, see how well, draw new codes between them.

``python examples/sdot_codes.py --codes codes.npy`` takes your own, (n, d); without it they are drawn around a circle.
"""

import argparse

import numpy as np
import torch

from latent_ot.transport import extension
from latent_ot.transport.cells import draw
from latent_ot.transport.semidiscrete import solve

parser = argparse.ArgumentParser(description="Transport the uniform law on the cube to codes, and draw between them.")
parser.add_argument("--codes", help="a file of NumPy's, (n, d)")
parser.add_argument("--n", type=int, default=1000, help="codes to draw where none are given")
parser.add_argument("--tol", type=float, default=0.1, help="RMS over codes of (mass found / mass due - 1)")
parser.add_argument("--draws", type=int, default=1000)
args = parser.parse_args()

if args.codes:
    codes = torch.from_numpy(np.load(args.codes)).double()
else:
    angle = torch.linspace(0, 2 * torch.pi, args.n + 1, dtype=torch.float64)[:-1]
    radius = 1 + 0.1 * torch.randn(args.n, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    codes = radius * torch.stack([angle.cos(), angle.sin()], 1)

solution = solve(codes, args.tol, seed=0)
print(f"{len(codes)} codes, d = {codes.shape[1]}: {solution.iterations:,} steps on {solution.points:,} points")
print(f"held-out error {solution.error:.3f} (to reach: {args.tol}), {solution.empty_cells} empty cells")

generator = torch.Generator().manual_seed(0)
w = draw(args.draws, codes.shape[1], generator, codes)  # uniform on the cube
eps = extension.median_gap(codes)  # the most that codes which are mixed may be apart, as in AE-OT-GAN
if codes.shape[1] <= 3:  # linear between the cells' mass centres, as there
    mixed = extension.Barycentric(codes, solution.heights, solution.centres, eps)(w)
else:  # mixtures of two codes, as in the release of AE-OT
    mixed = extension.pairs(w, codes, solution.heights, eps, generator)
new = mixed.of(codes)
print(f"{len(new)} draws, {int((~mixed.single).sum())} of them between codes; mean length {new.norm(dim=1).mean():.3f}")
