import pytest
import torch
from torch import nn

from latent_ot.losses.consistency import consistency


def look(scores, features):
    return torch.tensor(scores, dtype=torch.float64), torch.tensor(features, dtype=torch.float64)


FIRST = look([1.0, 2.0, 0.0], [[0.0, 0.0], [1.0, 3.0], [1.0, 1.0]])
SECOND = look([3.0, 2.0, 0.0], [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
# Squared differences: of scores 4, 0, 0; of features, averaged over the two, 0, 2.5, 0.


def test_closed_form():
    assert consistency(FIRST, SECOND).item() == pytest.approx(2 * (4 + 0.1 * 2.5) / 3)
    assert consistency(FIRST, SECOND, weight=3.0, features=0.5).item() == pytest.approx(3 * (4 + 0.5 * 2.5) / 3)


def test_each_image_has_the_margin_for_itself():
    # Image by image 2 * (4, 0.25, 0) less 0.2 is 7.8, 0.3 and, below 0, nothing.
    assert consistency(FIRST, SECOND, margin=0.2).item() == pytest.approx((7.8 + 0.3) / 3)
    assert consistency(FIRST, SECOND, margin=8.0).item() == 0


def test_scores_of_either_shape_count_alike():
    columns = [(scores[:, None], features) for scores, features in (FIRST, SECOND)]
    assert consistency(*columns).item() == consistency(FIRST, SECOND).item()


def test_two_equal_looks_cost_nothing_and_their_gradient_is_zero():
    scores = torch.randn(5, requires_grad=True)
    loss = consistency((scores, torch.ones(5, 2)), (scores.clone(), torch.ones(5, 2)))
    loss.backward()
    assert loss.item() == 0
    assert not scores.grad.any()


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_a_linear_critic_with_dropout_has_twice_the_variance_that_dropout_gives(rate):
    torch.manual_seed(0)
    w, x, dropout = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.3, 1.0, 2.0]), nn.Dropout(rate)
    features = [dropout(x.expand(400_000, 3)) for _ in range(2)]
    spread = rate / (1 - rate) * x.square()  # the variance of each feature
    expected = 2 * (2 * (w.square() * spread).sum() + 0.1 * 2 * spread.mean())
    estimate = consistency(*((h @ w, h) for h in features))
    assert estimate.item() == pytest.approx(expected.item(), rel=0.01)
