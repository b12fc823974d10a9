import pytest
import torch

from latent_ot.errors import Declined
from latent_ot.methods.points import Points, PointsConfig
from latent_ot.stage import Spec


def test_points_are_their_own_codes():
    method = Points(PointsConfig(), Spec((2,), 50, 50))
    x = 5 * torch.randn(50, 2)
    method.fit(x)
    assert method.latent_dim == 2
    assert torch.equal(method.codes(x), x)
    assert torch.equal(method.decode(method.encode(x)), x)
    assert torch.equal(method.reconstruct(x, torch.zeros_like(x), 0), x)
    assert not method.state_dict()


def test_images_are_declined_with_a_reason():
    with pytest.raises(Declined, match="images of shape \\(1, 32, 32\\) need a representation"):
        Points(PointsConfig(), Spec((1, 32, 32), 50, 50))
