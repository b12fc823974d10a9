"""The linear-Gaussian variational autoencoder, x = W z + b + gamma noise, of which the evidence is known."""

import math

import torch
from driving import normal
from torch import nn
from torch.distributions import MultivariateNormal


class Posterior(nn.Module):
    """Encoder with a linear mean and a constant standard deviation."""

    def __init__(self, matrix, bias, log_std):
        super().__init__()
        self.matrix, self.bias, self.log_std = matrix, bias, log_std

    def forward(self, x):
        mean = x.flatten(1) @ self.matrix.T + self.bias
        return torch.cat([mean, self.log_std.expand_as(mean)], dim=1)


def linear_gaussian(size, scales, gamma):
    """Return W's layer, five examples (5, size), their log evidence and the true posterior, in double precision."""
    k = len(scales)
    W = torch.linalg.qr(normal(size, k).double()).Q * torch.tensor(scales)
    b = normal(1, size, 1)[0].double()
    layer = nn.Linear(k, size).double()
    layer.weight.data, layer.bias.data = W, b
    x = b + normal(5, k, 2).double() @ W.T + gamma * normal(5, size, 3).double()
    evidence = MultivariateNormal(b, W @ W.T + gamma**2 * torch.eye(size)).log_prob(x)
    precision = 1 + W.square().sum(0) / gamma**2  # diagonal, since the columns of W are orthogonal
    matrix = (W / gamma**2 / precision).T
    return layer, x, evidence, Posterior(matrix, -matrix @ b, -0.5 * precision.log())


def elbo(stage, x, k):
    """The bound exactly: a quadratic's Gaussian mean is its mean over the 2k points mu +- sqrt(k) sigma_j e_j."""
    points = math.sqrt(k) * torch.cat([torch.eye(k), -torch.eye(k)]).double()
    nll = torch.stack([stage.bound(x, p.expand(len(x), k))[0] for p in points]).mean(0)
    return -(nll + stage.bound(x, torch.zeros(len(x), k).double())[1])


def assert_the_bound_is_that_of_the_evidence(stage, x, evidence, posterior):
    """It equals the log evidence at the true posterior and is below it at any other."""
    k = len(posterior.bias)
    stage.encoder = posterior
    torch.testing.assert_close(elbo(stage, x, k), evidence)
    parts = (posterior.matrix, posterior.bias, posterior.log_std)
    for _ in range(30):
        moves = (scale * torch.randn_like(part) for scale, part in zip((0.1, 0.5, 0.5), parts, strict=True))
        stage.encoder = Posterior(*(part + move for part, move in zip(parts, moves, strict=True)))
        assert (elbo(stage, x, k) < evidence).all()
