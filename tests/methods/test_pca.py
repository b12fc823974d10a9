import itertools

import numpy as np
import pytest
import torch
from sklearn.decomposition import TruncatedSVD

from latent_ot.methods.pca import Pca, PcaConfig
from latent_ot.stage import Spec


def images(n=120, size=8, seed=0):
    """Correlated images that stay inside [0, 1], so that the clamp is idle."""
    generator = torch.Generator().manual_seed(seed)
    basis, scores = torch.randn(20, size * size, generator=generator), torch.randn(n, 20, generator=generator)
    return (0.5 + 0.01 * scores @ basis).view(n, 1, size, size).clamp(0, 1)


def pca(x, k):
    method = Pca(PcaConfig(components=k), Spec(shape=tuple(x.shape[1:]), count=len(x), images=len(x)))
    method.fit(x)
    return method


def error(method, x):
    return float((method.decode(method.encode(x)) - x).square().mean())


@pytest.mark.parametrize("n", [120, 40])  # more images than the 64 pixels (covariance) and fewer (images themselves)
def test_reconstruction_is_that_of_the_truncated_svd(n):
    x = images(n)
    flat = x.flatten(1).double().numpy()
    svd = TruncatedSVD(7, algorithm="arpack").fit(flat - flat.mean(0))
    expected = flat.mean(0) + svd.inverse_transform(svd.transform(flat - flat.mean(0)))
    method = pca(x, 7)
    np.testing.assert_allclose(method.decode(method.encode(x)).flatten(1).numpy(), expected, atol=1e-5)


def test_both_decompositions_agree_to_the_sign():
    x = images(64)
    wide, tall = pca(x, 5), pca(torch.cat([x, x]), 5)
    torch.testing.assert_close(wide.components, tall.components, atol=1e-4, rtol=0)


def test_error_falls_with_every_component_and_ends_at_zero():
    x = images()
    errors = [error(pca(x, k), x) for k in range(1, 22)]
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(errors))
    assert errors[19] < 1e-10


def test_no_linear_autoencoder_of_the_same_size_does_better():
    x = images()
    best = error(pca(x, 4), x)
    flat = x.flatten(1) - x.flatten(1).mean(0)
    for seed in range(20):
        basis = torch.linalg.qr(torch.randn(64, 4, generator=torch.Generator().manual_seed(seed))).Q
        assert (flat - flat @ basis @ basis.T).square().mean() > best


def test_decoded_images_are_images():
    method = pca(images(), 3)
    x = method.decode(100 * torch.randn(10, 3))
    assert x.shape == (10, 1, 8, 8)
    assert 0 <= x.min() <= x.max() <= 1


@pytest.mark.parametrize(("n", "size", "d"), [(30, 8, 30), (300, 4, 16), (300, 12, 100)])
def test_there_are_no_more_components_than_images_or_pixels(n, size, d):
    x = torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(0))
    method = pca(x, 100)
    assert method.facts() == {"components": d}
    assert method.encode(x).shape == (n, d)
    assert torch.isfinite(method.encode(x)).all()


def test_codes_come_in_training_order_from_bytes():
    x = (images() * 255).round().to(torch.uint8)
    method = pca(x.float() / 255, 5)
    torch.testing.assert_close(method.codes(x), method.encode(x.float() / 255))
