import numpy as np
import pytest
import torch
from driving import normal

from latent_ot.metrics.code_moments import moment_errors


def standard(n=4000, d=3):
    """Return draws with exactly the mean 0 and the covariance I."""
    x = normal(n, d).double()
    x = x - x.mean(dim=0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T


def test_the_errors_are_the_largest_entries_of_the_mean_and_of_the_covariance_less_the_identity():
    prior = standard()
    shift, mix = torch.tensor([0.1, -0.4, 0.2]).double(), torch.tensor([[1, 0, 0], [0.5, 0.9, 0], [0, 0, 1.2]]).double()
    found = moment_errors(prior @ mix.T + shift, prior)
    assert found["code_mean_error"] == pytest.approx(0.4)
    expected = np.abs(np.cov((prior @ mix.T).numpy().T) - np.eye(3)).max()
    assert found["code_covariance_error"] == pytest.approx(expected)
    assert expected == pytest.approx(0.5)


def test_codes_that_are_the_prior_have_none_and_shrunk_ones_three_quarters():
    prior = standard()
    assert moment_errors(prior, prior) == {"code_mean_error": 0.0, "code_covariance_error": 0.0}
    assert moment_errors(prior / 2, prior)["code_covariance_error"] == pytest.approx(0.75)


@pytest.mark.parametrize("scale", [1e-3, 7.0, [0.1, 1.0, 30.0]])
def test_a_rescaling_of_codes_and_prior_moves_neither(scale):
    codes, prior, scale = normal(300, 3, 1).double() + 0.3, standard(), torch.as_tensor(scale).double()
    assert moment_errors(scale * codes, scale * prior) == pytest.approx(moment_errors(codes, prior))


def test_a_coordinate_in_which_the_prior_stands_still_is_measured_in_code_units():
    prior = standard() * torch.tensor([1, 0, 1])
    assert moment_errors(prior + torch.tensor([0, 0.7, 0]), prior)["code_mean_error"] == pytest.approx(0.7)
