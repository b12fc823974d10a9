"""How tests build SDKL and its kin, in double precision, and see what a step does to them."""

import torch

from latent_ot.catalog import Catalog
from latent_ot.stage import Batch, Spec


def build(name, rates=None, **settings):
    """Build a small method in double precision; ``rates``: step sizes of plain gradient descent for E, G and D."""
    torch.manual_seed(0)
    stage = Catalog().stage("methods", name)
    config = stage.Config.build({"batch_size": 4, "latent_dim": 5, **settings}, name)
    method = stage(config, Spec((1, 16, 16), 100, 10**4, width=0.1)).double()
    if rates is not None:
        method.configure_optimizers = lambda: [
            torch.optim.SGD(net.parameters(), lr=rate)
            for net, rate in zip((method.E, method.G, method.D), rates, strict=True)
        ]
    fixed = torch.randn(4, 10**4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    method.noise = lambda n, d: fixed[:n, :d]  # the same in every draw, so that a test can draw it, too
    return method


def images(method, steps=1, seed=0):
    g = torch.Generator().manual_seed(seed)
    rows = method.rows_per_step
    return [
        Batch(torch.arange(rows), torch.rand(rows, 1, 16, 16, generator=g, dtype=torch.float64)) for _ in range(steps)
    ]


def parameters(method):
    return {k: v.detach().clone() for k, v in method.named_parameters()}


def moved(method, before, network):
    """Return how far a network's parameters went, as one vector."""
    return torch.cat(
        [(v.detach() - before[k]).flatten() for k, v in method.named_parameters() if k.startswith(network + ".")]
    )


def vae_loss(method, x):
    """L_VAE written out: half the squared distance of features in units of sigma^2, and the KL divergence, in nats."""
    mean, log_std = method.E(x).chunk(2, dim=1)
    std = log_std.exp()
    decoded = method.D.features(method.G(mean + std * method.noise(len(x), 5)))
    squared = (method.D.features(x) - decoded).square().flatten(1).sum(dim=1)
    kl = 0.5 * (mean.square() + std.square() - 1 - 2 * log_std).sum(dim=1)
    return (0.5 * squared / method.config.sigma**2).mean(), kl.mean()
