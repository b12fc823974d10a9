import math

import pytest
import torch
from driving import seeded

from latent_ot.errors import InputError
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


def test_a_constant_dimension_stays_constant():
    codes = torch.randn(200, 3, generator=seeded(1))
    codes[:, 1] = 5.0
    drawn = gaussian(codes).sample(1000, seeded())
    assert (drawn[:, 1] - 5).abs().max() < 0.01
    assert drawn[:, 0].std() == pytest.approx(float(codes[:, 0].std()), rel=0.1)


def test_fewer_codes_than_dimensions_span_what_they_span():
    codes = torch.randn(3, 50, generator=seeded(1))
    drawn = gaussian(codes).sample(500, seeded()) - codes.mean(dim=0)
    span = torch.linalg.svd(codes - codes.mean(dim=0), full_matrices=False).Vh[:2]
    outside = drawn - drawn @ span.T @ span
    assert outside.norm() < 0.01 * drawn.norm()


@pytest.mark.parametrize("codes", [torch.ones(1, 4), torch.full((7, 4), 2.0)])
def test_codes_all_alike_are_drawn_again(codes):
    torch.testing.assert_close(gaussian(codes).sample(5, seeded()), codes[:1].expand(5, 4), atol=1e-4, rtol=0)


def test_codes_that_are_not_finite_are_refused():
    codes = torch.randn(10, 2)
    codes[3, 1] = math.nan
    with pytest.raises(InputError, match="1 of 10"):
        gaussian(codes)


@pytest.mark.parametrize("kind", [Gaussian, Normal])
def test_nothing_is_drawn_before_the_fit(kind):
    with pytest.raises(InputError, match="before it is fitted"):
        kind(kind.Config(), Spec(shape=(2,), count=10, images=1)).sample(1, seeded())


def test_state_dict_is_all_there_is_to_store():
    fitted = gaussian(torch.randn(50, 4, generator=seeded(1)))
    copy = Gaussian(GaussianConfig(), fitted.spec)
    copy.load_state_dict(fitted.state_dict())
    assert torch.equal(copy.sample(9, seeded()), fitted.sample(9, seeded()))


def test_the_normal_sampler_is_standard_normal_whatever_the_codes():
    sampler = Normal(Normal.Config(), Spec(shape=(5,), count=10, images=1))
    sampler.fit(torch.full((10, 5), 7.0))
    drawn = sampler.sample(100_000, seeded())
    torch.testing.assert_close(drawn.mean(dim=0), torch.zeros(5), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), torch.eye(5), atol=0.02, rtol=0)
