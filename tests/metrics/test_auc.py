import pytest
import torch
from driving import normal
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from latent_ot.errors import InputError
from latent_ot.metrics.auc import auc


@pytest.mark.parametrize("decimals", [6, 0])  # without ties, and nearly all tied
@pytest.mark.parametrize(("n", "m"), [(50, 50), (7, 90)])
def test_it_is_the_area_that_scikit_learn_finds(n, m, decimals):
    real, fake = (
        (normal(n, 1).flatten() + 0.5).round(decimals=decimals),
        normal(m, 1, 1).flatten().round(decimals=decimals),
    )
    label, value = [1] * n + [0] * m, torch.cat([real, fake])
    assert auc(real, fake) == pytest.approx(roc_auc_score(label, value), abs=1e-12)


def test_of_normal_scores_it_is_the_closed_form():
    shift = 0.7
    found = auc(normal(20_000, 1).flatten() + shift, normal(20_000, 1, 1).flatten())
    assert found == pytest.approx(norm.cdf(shift / 2**0.5), abs=5 * (6 * 20_000) ** -0.5)  # five standard errors


def test_only_the_order_of_scores_counts():
    real, fake = normal(40, 1).flatten(), normal(30, 1, 1).flatten()
    assert auc(real, fake) == auc(torch.sigmoid(3 * real), torch.sigmoid(3 * fake))
    assert auc(real, fake) == pytest.approx(1 - auc(-real, -fake))
    assert auc(real, real) == 0.5
    assert auc(torch.ones(5), torch.ones(8)) == 0.5
    assert auc(real.abs() + 1, -fake.abs()) == 1


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="scores of generated: 1 of 3"):
        auc(torch.zeros(3), torch.tensor([0.0, float("nan"), 1.0]))
    with pytest.raises(InputError, match="scores of real: 0 samples"):
        auc(torch.zeros(0), torch.zeros(3))
