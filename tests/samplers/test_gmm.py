import pytest
import torch
from driving import normal, seeded
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from latent_ot.errors import InputError
from latent_ot.samplers.gaussian import Gaussian, GaussianConfig
from latent_ot.samplers.gmm import Gmm, GmmConfig
from latent_ot.seeding import derive
from latent_ot.stage import Spec


def blobs(counts=(300, 200, 100), d=3, gap=20.0):
    """Clusters of the given sizes around 0, gap, 2 gap, ... with covariances of their own, in shuffled order."""
    parts = [normal(n, d, j) @ (normal(d, d, 10 + j) / 2 + torch.eye(d)) + gap * j for j, n in enumerate(counts)]
    return torch.cat(parts)[torch.randperm(sum(counts), generator=seeded(9))]


def fitted(codes, seed=0, **config):
    sampler = Gmm(GmmConfig(**config), Spec(shape=(codes.shape[1],), count=len(codes), images=0, seed=seed))
    sampler.fit(codes)
    return sampler.eval()


def density(sampler, codes):
    used = sampler.weights > 0
    w, m, f = (x[used].double() for x in (sampler.weights, sampler.means, sampler.factors))
    return MixtureSameFamily(Categorical(w), MultivariateNormal(m, scale_tril=f)).log_prob(codes.double())


def test_one_component_has_the_moments_of_the_gaussian_sampler():
    codes = blobs()
    n = len(codes)
    sampler, gaussian = fitted(codes, components=1), Gaussian(GaussianConfig(), Spec((3,), n, 0))
    gaussian.fit(codes)
    torch.testing.assert_close(sampler.means[0], gaussian.mean)
    expected = gaussian.factor * ((n - 1) / n) ** 0.5  # maximum likelihood divides by n
    torch.testing.assert_close(sampler.factors[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_likelihood_is_that_of_scikit_learn_whatever_the_scale(scale):
    codes = blobs() + normal(600, 3, 5)
    sampler = fitted(scale * codes, components=5)
    raw = (scale * codes).double()
    variance = raw.var(dim=0, correction=0).mean().item()
    theirs = GaussianMixture(5, max_iter=2000, reg_covar=1e-6 * variance, random_state=derive(0, "mixture") % 2**32)
    expected = torch.from_numpy(theirs.fit(raw.numpy()).score_samples(raw.numpy()))
    torch.testing.assert_close(density(sampler, raw), expected, rtol=0, atol=1e-3)
    assert sampler.facts()["iterations"] == theirs.n_iter_


def test_converged_components_have_the_moments_of_the_codes_they_answer_for():
    codes = torch.cat([normal(400, 2), normal(200, 2, 1) + 3]).double()  # they overlap: shares are fractions
    s = fitted(codes, components=2, tol=1e-12, jitter=1e-9)
    component = MultivariateNormal(s.means.double(), scale_tril=s.factors.double())
    share = (s.weights.double().log() + component.log_prob(codes[:, None])).softmax(dim=1)
    count = share.sum(dim=0)
    torch.testing.assert_close(s.weights.double(), count / 600, rtol=0, atol=1e-5)
    means = share.T @ codes / count[:, None]
    torch.testing.assert_close(s.means.double(), means, rtol=0, atol=1e-4)
    centred = codes[:, None] - means
    covariances = torch.einsum("nk,nki,nkj->kij", share, centred, centred) / count[:, None, None]
    torch.testing.assert_close((s.factors @ s.factors.mT).double(), covariances, rtol=0, atol=1e-4)
    assert share.min(dim=1).values.max() > 0.05


def test_separate_clusters_are_found_with_their_shares():
    s = fitted(blobs(), components=3)
    torch.testing.assert_close(s.weights.sort().values, torch.tensor([1 / 6, 1 / 3, 1 / 2]), rtol=0, atol=1e-5)
    drawn = s.sample(60_000, seeded())
    nearest = torch.cdist(drawn, s.means).argmin(dim=1).bincount(minlength=3) / 60_000
    torch.testing.assert_close(nearest, s.weights, rtol=0, atol=4 * (0.25 / 60_000) ** 0.5)


def test_draws_obey_the_laws_of_total_mean_and_covariance():
    s = fitted(blobs(gap=2.0), components=4)
    drawn = s.sample(400_000, seeded())
    mean = s.weights @ s.means
    spread = s.means - mean
    within = torch.einsum("k,kij->ij", s.weights, s.factors @ s.factors.mT)
    covariance = within + torch.einsum("k,ki,kj->ij", s.weights, spread, spread)
    assert drawn.dtype == torch.float32
    torch.testing.assert_close(drawn.mean(dim=0), mean, rtol=0, atol=0.02)
    assert (drawn.T.cov() - covariance).norm() < 0.01 * covariance.norm()


def test_shifted_and_scaled_codes_give_the_shifted_and_scaled_mixture():
    a, b = fitted(blobs()), fitted(blobs() * 512 - 40)
    torch.testing.assert_close(b.weights, a.weights)
    torch.testing.assert_close(b.means, a.means * 512 - 40, rtol=1e-4, atol=0.1)
    torch.testing.assert_close(b.factors, a.factors * 512, rtol=1e-4, atol=0.1)


def test_factors_are_lower_triangular_with_a_positive_diagonal():
    factors = fitted(blobs()).factors
    assert torch.equal(factors, factors.tril())
    assert (factors.diagonal(dim1=1, dim2=2) > 0).all()


def test_fewer_codes_than_components_are_a_component_each():
    codes = 10 * normal(4, 6)
    s = fitted(codes)
    assert s.weights.shape == (4,)
    assert s.facts()["components"] == 4
    drawn = s.sample(4000, seeded())
    distance, row = torch.cdist(drawn, codes).min(dim=1)
    assert distance.max() < 0.01 * codes.std() * 6**0.5
    assert (row.bincount(minlength=4) / 4000 - 0.25).abs().max() < 0.03


def test_duplicates_are_one_component_with_their_weight():
    codes = torch.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]]).repeat_interleave(torch.tensor([50, 30, 20]), dim=0)
    s = fitted(codes)
    assert s.weights.shape == (10,)
    assert s.facts()["components"] == 3
    assert s.facts()["smallest_weight"] == pytest.approx(0.2, abs=1e-6)
    assert torch.cdist(s.sample(500, seeded()), codes).min(dim=1).values.max() < 0.05


def test_the_seed_decides_the_mixture_and_the_generator_the_draws():
    codes = normal(300, 4)
    a, b, c = (fitted(codes, seed) for seed in (0, 0, 1))
    assert torch.equal(a.means, b.means)
    assert not torch.equal(a.means, c.means)
    assert torch.equal(a.sample(9, seeded(1)), b.sample(9, seeded(1)))
    assert not torch.equal(a.sample(9, seeded(1)), a.sample(9, seeded(2)))


def test_a_second_fit_forgets_the_first():
    s = Gmm(GmmConfig(), Spec((2,), 100, 0))
    s.fit(normal(100, 2))
    s.fit(torch.ones(100, 2))
    assert s.facts()["components"] == 1
    assert (s.sample(100, seeded()) - 1).abs().max() < 1e-6


def test_no_codes_are_refused():
    with pytest.raises(InputError, match="0 rows"):
        fitted(torch.zeros(0, 2))
