import pytest
import torch
from scipy.spatial.distance import cityblock

from latent_ot.errors import InputError
from latent_ot.metrics.class_shares import class_distance


def logits(*counts):
    return torch.cat([5 * torch.eye(len(counts))[k].expand(n, -1) for k, n in enumerate(counts)])


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [((5, 5), (10, 10), 0.0), ((5, 5), (10, 0), 0.5), ((10, 0, 0), (0, 3, 7), 1.0), ((4, 4, 2), (2, 4, 4), 0.2)],
)
def test_the_distance_is_what_must_change_its_class(real, fake, expected):
    assert class_distance(logits(*real), logits(*fake)) == pytest.approx(expected)
    assert class_distance(logits(*fake), logits(*real)) == pytest.approx(expected)
    shares = [[n / sum(counts) for n in counts] for counts in (real, fake)]
    assert class_distance(logits(*real), logits(*fake)) == pytest.approx(cityblock(*shares) / 2)


def test_two_draws_of_a_thousand_from_ten_classes_are_as_far_apart_as_is_said():
    found = [class_distance(*(torch.randn(1000, 10) for _ in range(2))) for _ in range(100)]
    assert sum(found) / len(found) == pytest.approx(0.0535, abs=0.006)  # 10 E|d| / 2, d ~ N(0, 2 (0.1)(0.9) / 1000)


def test_other_classes_are_refused():
    with pytest.raises(InputError, match="2 and 3 classes"):
        class_distance(logits(1, 1), logits(1, 1, 1))
