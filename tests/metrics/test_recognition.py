import math

import pytest
import torch

from latent_ot.errors import InputError
from latent_ot.metrics.recognition import recognised


def logits(counts, margin=50.0):
    return torch.cat([margin * torch.eye(len(counts))[k].expand(n, -1) for k, n in enumerate(counts)])


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((100,) * 10, 10), ((970, 30, 0), 2), ((971, 29, 0), 1), ((1000, 0, 0), 1), ((0, 3, 97), 2), ((0, 2, 98), 1)],
)
def test_a_class_is_shown_from_three_percent_of_the_samples_on(counts, expected):
    assert recognised(logits(counts)) == (expected, pytest.approx(1.0))
    shuffled = logits(counts)[torch.randperm(sum(counts))][:, torch.randperm(len(counts))]
    assert recognised(shuffled)[0] == expected


@pytest.mark.parametrize("margin", [0.0, 0.5, 2.0, 10.0])
def test_confidence_is_the_mean_of_the_largest_probability(margin):
    found = recognised(torch.cat([logits((40, 40, 20), margin), torch.zeros(100, 3)]))[1]
    assert found == pytest.approx((math.exp(margin) / (math.exp(margin) + 2) + 1 / 3) / 2, rel=1e-6)
    assert recognised(logits((40, 40, 20), margin) + 7.0)[1] == recognised(logits((40, 40, 20), margin))[1]


def test_what_is_no_matrix_of_finite_numbers_is_refused():
    for bad in (torch.zeros(0, 3), torch.zeros(3), torch.full((2, 3), math.nan)):
        with pytest.raises(InputError, match="logits"):
            recognised(bad)
