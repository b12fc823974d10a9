import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from latent_ot.metrics.inception_score import inception_score


def test_a_constant_prediction_scores_one():
    mean, std = inception_score(torch.tensor([[0.3, -2.0, 1.0]]).repeat(100, 1))
    assert mean == pytest.approx(1, abs=1e-14)
    assert std == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("sureness", [1e2, 1e6])
def test_certain_and_evenly_spread_predictions_score_the_number_of_classes(sureness):
    logits = sureness * torch.eye(10).repeat(10, 1)
    mean, std = inception_score(logits, splits=10, seed=None)
    assert mean == pytest.approx(10, rel=1e-12)
    assert std == pytest.approx(0, abs=1e-12)


def test_a_class_that_never_occurs_leaves_the_score_finite():
    logits = torch.full((40, 3), -1e5)
    logits[:20, 0] = logits[20:, 1] = 0.0
    assert inception_score(logits, splits=1)[0] == pytest.approx(2, rel=1e-12)


@pytest.mark.parametrize("n", [1000, 937])
@pytest.mark.parametrize("seed", [2020, None])
def test_it_equals_torch_fidelity(n, seed):
    logits = 3 * torch.randn(n, 17, generator=torch.Generator().manual_seed(0))
    theirs = isc_features_to_metric(logits, splits=10, shuffle=seed is not None)
    mean, std = inception_score(logits, seed=seed)
    assert mean == pytest.approx(theirs["inception_score_mean"], rel=1e-12)
    assert std == pytest.approx(theirs["inception_score_std"], rel=1e-9)


def test_sets_ordered_by_class_do_not_score_low():
    logits = 50 * torch.eye(10).repeat_interleave(100, dim=0)
    assert inception_score(logits)[0] > 9.5
    assert inception_score(logits, seed=None)[0] == pytest.approx(1)
