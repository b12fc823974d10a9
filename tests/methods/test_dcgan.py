import torch
from torch import nn

from latent_ot.methods.dcgan import Dcgan, DcganConfig
from latent_ot.stage import Spec

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
WEIGHTS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def build(width=0.1):
    torch.manual_seed(0)
    return Dcgan(DcganConfig(batch_size=16, latent_dim=5), Spec((1, 16, 16), 100, 10**4, width))


def normalised(net):
    """For each weight layer in order, whether a batch normalisation follows it."""
    layers = [layer for layer in net if isinstance(layer, WEIGHTS + NORMS)]
    pairs = zip(layers, [*layers[1:], None], strict=True)
    return [isinstance(after, NORMS) for layer, after in pairs if isinstance(layer, WEIGHTS)]


def test_batch_normalisation_everywhere_but_at_the_image_and_the_logit():
    method = build()
    assert normalised(method.G) == [True, True, True, False]
    assert normalised(method.D) == [False, True, True, False]


def test_initial_weights_are_normal_with_the_stated_deviation():
    method = build(width=1.0)
    for net in (method.G, method.D):
        weights = torch.cat([m.weight.flatten() for m in net if isinstance(m, WEIGHTS)])
        assert abs(weights.mean()) < 1e-4
        assert abs(weights.std() / 0.02 - 1) < 0.01
