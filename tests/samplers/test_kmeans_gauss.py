import pytest
import torch
from driving import normal, seeded
from scipy.cluster.vq import kmeans2
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from latent_ot.errors import InputError
from latent_ot.samplers.gaussian import Gaussian, GaussianConfig
from latent_ot.samplers.kmeans_gauss import KmeansGauss, KmeansGaussConfig
from latent_ot.stage import Spec

COUNTS = (300, 200, 100)


def blobs(d=3):
    """Three clusters, far apart, each with a covariance of its own."""
    return [normal(n, d, j) @ (normal(d, d, 10 + j) / 2 + torch.eye(d)) + 20 * j for j, n in enumerate(COUNTS)]


def fitted(codes, seed=0, **config):
    spec = Spec(shape=(codes.shape[1],), count=len(codes), images=0, seed=seed)
    sampler = KmeansGauss(KmeansGaussConfig(**config), spec)
    sampler.fit(codes)
    return sampler.eval()


def covariances(sampler):
    return (sampler.factors @ sampler.factors.mT).double()


def density(sampler, codes):
    w, m, f = (x.double() for x in (sampler.weights, sampler.means, sampler.factors))
    return MixtureSameFamily(Categorical(w), MultivariateNormal(m, scale_tril=f)).log_prob(codes.double())


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_separate_clusters_have_the_moments_computed_by_hand(covariance):
    parts = blobs()
    s = fitted(torch.cat(parts), components=3, covariance=covariance)
    order = s.means[:, 0].argsort()
    torch.testing.assert_close(s.weights[order], torch.tensor(COUNTS) / 600)
    for j, part in zip(order, parts, strict=True):
        torch.testing.assert_close(s.means[j], part.mean(dim=0))
        by_hand = part.double().T.cov(correction=0)
        by_hand = by_hand.diag().diag() if covariance == "diagonal" else by_hand
        torch.testing.assert_close(covariances(s)[j], by_hand, rtol=1e-4, atol=1e-3)


def test_the_mixture_has_exactly_the_mean_and_covariance_of_the_codes():
    codes = normal(500, 4) @ normal(4, 4, 1) + 7  # one cloud: the clusters are arbitrary, their moments still add up
    total = codes.double().T.cov(correction=0)
    for covariance in ("full", "diagonal"):
        s = fitted(codes, components=8, covariance=covariance)
        w, m = s.weights.double(), s.means.double()
        torch.testing.assert_close(w @ m, codes.double().mean(dim=0), rtol=0, atol=1e-5)
        spread = m - w @ m
        mixture = torch.einsum("k,kij->ij", w, covariances(s)) + torch.einsum("k,ki,kj->ij", w, spread, spread)
        torch.testing.assert_close(mixture.diag(), total.diag(), rtol=1e-5, atol=0)
        assert torch.allclose(mixture, total, rtol=1e-4, atol=1e-4) == (covariance == "full")


def test_a_large_draw_has_the_mean_and_covariance_of_the_codes():
    codes = torch.cat(blobs())
    drawn = fitted(codes, components=8, covariance="full").sample(400_000, seeded())
    assert drawn.dtype == torch.float32
    spread = codes.T.cov(correction=0)
    torch.testing.assert_close(drawn.mean(dim=0), codes.mean(dim=0), rtol=0, atol=0.1)
    assert (drawn.T.cov() - spread).norm() < 0.01 * spread.norm()


def test_clusters_are_drawn_as_often_as_they_have_codes():
    s = fitted(torch.cat(blobs()), components=3)
    drawn = s.sample(60_000, seeded())
    share = torch.cdist(drawn, s.means).argmin(dim=1).bincount(minlength=3) / 60_000
    torch.testing.assert_close(share, s.weights, rtol=0, atol=4 * (0.25 / 60_000) ** 0.5)


def test_every_code_is_in_the_cluster_of_the_nearest_mean():
    codes = normal(400, 2)
    s = fitted(codes, components=6, tol=1e-12)
    means, labels = kmeans2(codes.double().numpy(), s.means.double().numpy(), iter=1, minit="matrix")
    torch.testing.assert_close(torch.from_numpy(means), s.means.double(), rtol=0, atol=1e-6)  # nothing to do
    torch.testing.assert_close(torch.from_numpy(labels).bincount() / 400, s.weights)


@pytest.mark.parametrize(("covariance", "theirs"), [("diagonal", "diag"), ("full", "full")])
def test_the_likelihood_is_that_of_scikit_learn_with_the_same_parameters(covariance, theirs):
    codes = normal(400, 3)
    s = fitted(codes, components=5, covariance=covariance)
    model = GaussianMixture(5, covariance_type=theirs)
    model.weights_, model.means_ = s.weights.double().numpy(), s.means.double().numpy()
    inverse = torch.linalg.inv(s.factors.double())
    precision = inverse.mT if theirs == "full" else inverse.diagonal(dim1=1, dim2=2)
    model.precisions_cholesky_ = precision.numpy()
    expected = torch.from_numpy(model.score_samples(codes.double().numpy()))
    torch.testing.assert_close(density(s, codes), expected, rtol=0, atol=1e-5)


def test_one_cluster_has_the_moments_of_the_gaussian_sampler():
    codes = torch.cat(blobs())
    s, gaussian = fitted(codes, components=1, covariance="full"), Gaussian(GaussianConfig(), Spec((3,), 600, 0))
    gaussian.fit(codes)
    torch.testing.assert_close(s.means[0], gaussian.mean)
    torch.testing.assert_close(s.factors[0], gaussian.factor * (599 / 600) ** 0.5, rtol=1e-5, atol=1e-5)
    diagonal = fitted(codes, components=1).factors[0]
    torch.testing.assert_close(diagonal, codes.std(dim=0, correction=0).diag())


def test_neither_the_order_of_the_codes_nor_that_of_the_labels_matters():
    codes = torch.cat(blobs())
    mixed = codes[torch.randperm(600, generator=seeded(3))]
    a, b = fitted(codes, 0, components=3), fitted(mixed, 1, components=3)
    torch.testing.assert_close(density(a, codes), density(b, codes), rtol=1e-4, atol=1e-4)
    turned = fitted(codes, components=3)
    for name in ("weights", "means", "factors"):
        getattr(turned, name).copy_(getattr(a, name)[torch.tensor([2, 0, 1])])
    torch.testing.assert_close(density(a, codes), density(turned, codes))
    x, y = (s.sample(100_000, seeded(k)) for k, s in enumerate((a, turned)))
    assert (x.mean(dim=0) - y.mean(dim=0)).abs().max() < 4 * codes.std() * (2 / 100_000) ** 0.5


def test_shifted_and_scaled_codes_give_the_shifted_and_scaled_mixture():
    codes = torch.cat(blobs())
    a, b = fitted(codes), fitted(codes * 512 - 40)
    torch.testing.assert_close(b.weights, a.weights)
    torch.testing.assert_close(b.means, a.means * 512 - 40, rtol=1e-4, atol=0.1)
    torch.testing.assert_close(b.factors, a.factors * 512, rtol=1e-4, atol=0.1)


def test_fewer_codes_than_clusters_are_drawn_again():
    codes = 10 * normal(4, 6)
    s = fitted(codes)
    assert s.weights.shape == (4,)
    drawn = s.sample(4000, seeded())
    distance, row = torch.cdist(drawn, codes, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
    assert distance.max() < 1e-4
    assert (row.bincount(minlength=4) / 4000 - 0.25).abs().max() < 0.03


def test_duplicates_are_one_cluster_with_their_weight():
    codes = torch.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]]).repeat_interleave(torch.tensor([50, 30, 20]), dim=0)
    s = fitted(codes)
    assert s.weights.shape == (16,)
    assert s.facts()["components"] == 3
    assert s.facts()["smallest_weight"] == pytest.approx(0.2)
    assert torch.cdist(s.sample(500, seeded()), codes).min(dim=1).values.max() < 1e-4


def test_the_seed_decides_the_clusters():
    a, b, c = (fitted(normal(300, 4), seed, starts=1).means for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_no_codes_are_refused():
    with pytest.raises(InputError, match="0 rows"):
        fitted(torch.zeros(0, 2))
