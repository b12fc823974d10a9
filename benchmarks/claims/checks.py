"""The numeric checks behind claims that are about numbers, not runs: small, seeded, made with the suite's own code.

Each takes a seed and returns one number; the claim says in which bounds it has to lie. What they give is kept in
``checks.json``, so that pages are made without running any: ``python benchmarks/claims/checks.py`` (seconds).
"""

import json
import math
from pathlib import Path

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from latent_ot.datasets.toy import MIXTURES
from latent_ot.files import write_atomic
from latent_ot.losses.adversarial import wasserstein_critic
from latent_ot.losses.gradient_penalty import gradient_norms
from latent_ot.methods.ae import Ae, AeConfig
from latent_ot.methods.base import Pair, Spec
from latent_ot.networks.mlp import Mlp
from latent_ot.record import significant
from latent_ot.samplers.sdot import Sdot, SdotConfig
from latent_ot.seeding import derive, generator
from latent_ot.stage import Batch
from latent_ot.transport.assignment import assign
from latent_ot.transport.cells import Cells, draw
from latent_ot.transport.duals import duals
from latent_ot.transport.semidiscrete import solve

LATTICE = 500  # points a side of the deterministic quadrature of cells
CELLS = 32
TOLERANCE = 0.03  # of the solver: an RMS, so that the worst of 32 cells, at some three times as much, stays within 0.1
FAR, NEAR = (2.0, 0.0), (0.7, 0.2)  # (m, log s) of the model N(m, s^2); the data are N(0, 1)


def _grid_points(n: int, seed: int) -> Tensor:
    """Draw n points (n, 2) of the grid of 25 Gaussians, float64."""
    modes, std = MIXTURES["grid25"]()
    g = generator(seed, "claims")
    centres = torch.from_numpy(modes)[torch.randint(len(modes), (n,), generator=g)]
    return centres + std * torch.randn(n, 2, generator=g, dtype=torch.float64)


def _solved(codes: Tensor, seed: int) -> Sdot:
    """Return the semi-discrete sampler of codes (n, d), with its settings but for a loose tolerance."""
    sdot = Sdot(SdotConfig.build({"tol": 0.3}, "sdot"), Spec(tuple(codes.shape[1:]), len(codes), 1, 1.0, seed))
    sdot.fit(codes)
    batch = Batch(torch.zeros(1, dtype=torch.int64), codes[:1])
    while not sdot.finished and sdot.step < sdot.total_steps:
        sdot.on_train_batch_start(batch, sdot.step)
        sdot.training_step(batch, sdot.step)
        sdot.on_train_batch_end(None, batch, sdot.step)
    sdot.on_train_end()
    return sdot.eval()


def sdot_cells(seed: int) -> float:
    """Return the largest |n v_i - 1| over cells: areas v_i by a lattice, not by the random points of the solver."""
    codes = _grid_points(CELLS, seed)
    heights = solve(codes, TOLERANCE, seed=seed).heights
    line = (torch.arange(LATTICE, dtype=torch.float64) + 0.5) / LATTICE - 0.5
    counts = torch.bincount(Cells(codes).assign(torch.cartesian_prod(line, line), heights), minlength=CELLS)
    return float((CELLS * counts / LATTICE**2 - 1).abs().max())


def sdot_extension(seed: int) -> float:
    """Return W2 between 1,000 draws of T~ and of T, by exact assignment, over eps; T draws the codes themselves.

    The larger one of two: of points of the plane, and of codes of as many dimensions and modes as those of digits,
    each with the extension that the sampler chooses.
    """
    modes = 4 * torch.randn(10, 64, generator=generator(seed, "modes"), dtype=torch.float64)
    noise = torch.randn(100, 64, generator=generator(seed, "claims"), dtype=torch.float64)
    worst = 0.0
    for codes in (_grid_points(CELLS, seed), modes.repeat(10, 1) + noise):
        sdot = _solved(codes.float(), seed)
        w = draw(1000, sdot.dim, generator(seed, "cube"), sdot.targets)
        extended = sdot.extend(w, generator(seed, "pairs")).of(sdot.targets)
        plain = sdot.targets[Cells(sdot.targets).assign(w, sdot.heights)]
        w2 = (extended - plain[assign(extended, plain)]).square().sum(1).mean().sqrt()
        worst = max(worst, float(w2 / sdot.eps))
    return worst


def assignment_cost(seed: int) -> float:
    """Return by how much the assignment's cost differs at most from SciPy's, over five shapes, one of equal points."""
    g, worst = generator(seed, "claims"), 0.0
    for n, d, copies in ((16, 2, 1), (128, 2, 1), (128, 8, 1), (128, 64, 1), (128, 2, 4)):
        x, y = torch.rand(2, n, d, generator=g, dtype=torch.float64)
        y = y[: n // copies].repeat(copies, 1)
        cost = (x[:, None] - y).square().sum(2)
        best = cost[linear_sum_assignment(cost)].mean()
        worst = max(worst, abs(float(cost[torch.arange(n), assign(x, y)].mean() - best)))
    return worst


def epoch_zero(seed: int) -> float:
    """Return how far images that AE-OT-GAN draws before its first step are at most from AE-OT's for the same w."""
    from latent_ot.methods.ae_ot_gan import AeOtGan, AeOtGanConfig

    images = torch.rand(40, 1, 16, 16, generator=generator(seed, "claims"))
    ae = Ae(AeConfig.build({"latent_dim": 4}, "ae"), Spec((1, 16, 16), 40, 40, 0.1, seed)).eval()
    with torch.no_grad():
        sdot = _solved(ae.encode(images), seed)
    pair = Pair(ae, sdot)
    gan = AeOtGan(AeOtGanConfig.build({}, "ae_ot_gan"), Spec((1, 16, 16), 40, 40, 0.1, seed), pair).eval()
    with torch.no_grad():
        apart = gan.sample(64, generator(seed, "w")) - pair.sample(64, generator(seed, "w"))
    return float(apart.abs().max())


def iwgan_bound(seed: int) -> float:
    """Return iWGAN's objective at the best critic over W1 of data and samples, for a random G and Q, less one.

    The best critic is the optimal potential of the transport from reconstructions to samples, exact on 300 points each.
    """
    torch.manual_seed(derive(seed, "networks"))
    with torch.no_grad():
        encoder, decoder = (Mlp([2, 32, 2], "leaky_relu").double() for _ in range(2))
        x, z = _grid_points(300, seed), torch.randn(300, 2, generator=generator(seed, "z"), dtype=torch.float64)
        rebuilt, fake = decoder(encoder(x)), decoder(z)
        u, v = duals(torch.cdist(rebuilt, fake).numpy())
        objective = float((x - rebuilt).norm(dim=1).mean()) + u.mean() + v.mean()
        a, b = duals(torch.cdist(x, fake).numpy())
    return float(objective / (a.mean() + b.mean())) - 1


def iwgan_identity(seed: int) -> float:
    """Return the largest |L(G, Q, f)| over five random critics of slope up to 1, for G = Q = identity, X ~ N(0, I)."""
    torch.manual_seed(derive(seed, "networks"))
    x, z = torch.randn(2, 20_000, 2, generator=generator(seed, "claims"))
    worst = 0.0
    for _ in range(5):
        f = Mlp([2, 64, 64, 1], "leaky_relu")
        slope = float(gradient_norms(f, torch.cat([x, z])).detach().max())
        with torch.no_grad():
            worst = max(worst, abs(float(wasserstein_critic(f(z), f(x)))) / slope)  # nothing is lost in reconstruction
    return worst


def steep_discriminator(seed: int) -> float:
    """Return the least ratio of the largest slope of a discriminator's logit on a segment to 2 log((1-e)/e) / length.

    Discriminators are random networks, their logits shifted and scaled so that D is 1 - e and e at the segment's ends.
    """
    torch.manual_seed(derive(seed, "networks"))
    g, least = generator(seed, "claims"), math.inf
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
    for e in (0.4, 0.1, 1e-3):
        for length in (1.0, 0.1, 1e-3):
            network = Mlp([2, 64, 64, 1], "softplus").double()
            x, way = torch.randn(2, 2, generator=g, dtype=torch.float64)
            segment = x + t * length * way / way.norm()
            with torch.no_grad():
                ends = network(segment[[0, -1]])
            wanted = 2 * math.log((1 - e) / e)
            slopes = gradient_norms(network, segment) * wanted / float((ends[0] - ends[1]).abs())
            least = min(least, float(slopes.detach().max()) * length / wanted)
    return least


def reverse_kl_loss(seed: int) -> float:
    """Return how far GAN-KL's generator loss is from minus the mean logit and from the mean of log(1-D) - log D."""
    from latent_ot.losses.divergences import REVERSE_KL

    logits = 5 * torch.randn(1000, generator=generator(seed, "claims"), dtype=torch.float64)
    loss, d = REVERSE_KL.generated(logits).mean(), torch.sigmoid(logits)
    formed = (torch.log(1 - d) - torch.log(d)).mean()
    return max(abs(float(loss + logits.mean())), abs(float(loss - formed)))


def surrogate_gradients(seed: int) -> float:
    """Return the largest relative error of Monte Carlo gradients of the four surrogates, N(0, 1) against N(m, s^2).

    The discriminator is the analytic one, held constant; the truth is the gradient in (m, log s) of the divergence
    itself, in closed form, for Jensen-Shannon by quadrature.
    """
    from latent_ot.losses import divergences as d

    real, noise = torch.randn(2, 200_000, generator=generator(seed, "claims"), dtype=torch.float64)
    place = torch.tensor(NEAR, dtype=torch.float64)
    theta, worst = place.clone().requires_grad_(), 0.0
    truths = dict(zip((d.FORWARD_KL, d.REVERSE_KL, d.SYMMETRIC_KL, d.JENSEN_SHANNON), _divergences(theta), strict=True))
    for surrogate, divergence in truths.items():
        fake = theta[0] + theta[1].exp() * noise
        moved = surrogate.generated(_log_ratio(fake, place)).mean()
        likely = surrogate.real(_log_ratio(real, place), _log_normal(real, theta)).mean()
        (found,) = torch.autograd.grad(moved + likely, theta)
        (truth,) = torch.autograd.grad(divergence, theta, retain_graph=True)
        worst = max(worst, float((found - truth).norm() / truth.norm()))
    return worst


def forward_kl_variance(seed: int) -> float:
    """Return log10 of the variance of the forward KL's gradient in m from generated samples over that from real ones.

    N(0, 1) against N(2, 1), where the densities overlap little; closer than 0.9 the order reverses.
    """
    from latent_ot.losses.divergences import FORWARD_KL

    noise = torch.randn(2, 100_000, generator=generator(seed, "claims"), dtype=torch.float64)
    place = torch.tensor(FAR, dtype=torch.float64)
    real, fake = noise[0], (place[0] + noise[1]).requires_grad_()
    generated = FORWARD_KL.without_likelihood().generated(_log_ratio(fake, place)).sum()
    (from_generated,) = torch.autograd.grad(generated, fake)  # dx/dm = 1
    mean = place[0].expand(len(real)).clone().requires_grad_()
    likely = FORWARD_KL.real(_log_ratio(real, place), -0.5 * (real - mean).square()).sum()
    (from_real,) = torch.autograd.grad(likely, mean)
    return float(torch.log10(from_generated.var() / from_real.var()))


def _log_normal(x: Tensor, theta: Tensor) -> Tensor:
    """Return log p(x), but for a constant, of N(m, s^2) with theta = (m, log s)."""
    return -0.5 * ((x - theta[0]) * (-theta[1]).exp()).square() - theta[1]


def _log_ratio(x: Tensor, theta: Tensor) -> Tensor:
    """Return a = log p*(x) / p(x), the logit of the best discriminator, for p* = N(0, 1)."""
    return -0.5 * x.square() - _log_normal(x, theta)


def _divergences(theta: Tensor) -> list[Tensor]:
    """Return KL(p* | p), KL(p | p*), their sum and JS(p*, p) of p* = N(0, 1) and p = N(m, s^2), but for constants."""
    mean, log_std = theta
    variance = (2 * log_std).exp()
    forward, reverse = log_std + (1 + mean**2) / (2 * variance), (variance + mean**2) / 2 - log_std
    x = torch.linspace(-12, 12, 20_001, dtype=theta.dtype)
    log_real, log_fake = -0.5 * x.square(), _log_normal(x, theta)
    log_middle = torch.logaddexp(log_real, log_fake)
    density = log_real.exp() * (log_real - log_middle) + log_fake.exp() * (log_fake - log_middle)
    return [forward, reverse, forward + reverse, 0.5 * torch.trapezoid(density, x) / (2 * math.pi) ** 0.5]


SEEDS = (0, 1, 2)
CHECKS = (
    assignment_cost,
    epoch_zero,
    forward_kl_variance,
    iwgan_bound,
    iwgan_identity,
    reverse_kl_loss,
    sdot_cells,
    sdot_extension,
    steep_discriminator,
    surrogate_gradients,
)


def main() -> None:
    """Run every check at every seed and keep what it gave."""
    found = {check.__name__: [significant(check(seed)) for seed in SEEDS] for check in CHECKS}
    lines = (f' "{name}": {json.dumps(values)}' for name, values in found.items())
    write_atomic(Path(__file__).with_suffix(".json"), ("{\n" + ",\n".join(lines) + "\n}\n").encode())


if __name__ == "__main__":
    main()
