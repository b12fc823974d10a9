import torch
from driving import seeded

from latent_ot.samplers.gaussian import Gaussian, GaussianConfig
from latent_ot.samplers.normal import Normal
from latent_ot.stage import Spec


def gaussian(codes):
    sampler = Gaussian(GaussianConfig(), Spec(shape=(codes.shape[1],), count=len(codes), images=1))
    sampler.fit(codes)
    return sampler


def relative(a, b):
    return float((a - b).norm() / b.norm())


def test_draws_have_the_mean_and_covariance_of_the_codes():
    codes = torch.randn(2000, 100, generator=seeded(1)) @ torch.randn(100, 100, generator=seeded(2)) + 3
    drawn = gaussian(codes).sample(300_000, seeded())
    assert relative(drawn.mean(dim=0), codes.mean(dim=0)) < 0.03
    assert relative(drawn.T.cov(), codes.T.cov()) < 0.03


def test_the_factor_gives_back_the_covariance():
    codes = torch.randn(500, 6, generator=seeded(1), dtype=torch.float64)
    factor = gaussian(codes.float()).factor.double()
    torch.testing.assert_close(factor @ factor.T, codes.T.cov(), atol=1e-5, rtol=1e-5)
    assert torch.equal(factor, factor.tril())


def test_the_normal_sampler_is_standard_normal_whatever_the_codes():
    sampler = Normal(Normal.Config(), Spec(shape=(5,), count=10, images=1))
    sampler.fit(torch.full((10, 5), 7.0))
    drawn = sampler.sample(100_000, seeded())
    torch.testing.assert_close(drawn.mean(dim=0), torch.zeros(5), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), torch.eye(5), atol=0.02, rtol=0)
