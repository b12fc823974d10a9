"""What cannot be transported is one line, wherever it is handed in."""

import math

import numpy as np
import pytest
import torch

from latent_ot.errors import InputError
from latent_ot.transport.assignment import assign
from latent_ot.transport.divergence import ot_divergence
from latent_ot.transport.duals import duals
from latent_ot.transport.mmd import mmd_squared

PAIRS = {  # of clouds (n, d)
    "sizes": (np.zeros((3, 2)), np.zeros((4, 2)), r"\(3, 2\) and \(4, 2\); allowed: equal shapes"),
    "dimensions": (np.zeros((3, 2)), np.zeros((3, 1)), "equal shapes"),
    "no clouds": (np.zeros(3), np.zeros(3), "equal shapes"),
    "nothing": (np.zeros((0, 2)), np.zeros((0, 2)), "n of 1 or more"),
    "nan": (np.zeros((2, 2)), np.array([[0.0, math.nan], [0, 0]]), "y: 1 of 2 rows"),
    "infinity": (np.array([[math.inf, 0.0], [0, 0]]), np.zeros((2, 2)), "x: 1 of 2 rows"),
}
COSTS = {
    "not square": (np.zeros((3, 4)), r"\(3, 4\)"),
    "no matrix": (np.zeros(3), r"\(n, n\)"),
    "nothing": (np.zeros((0, 0)), "n of 1 or more"),
    "not finite": (np.array([[0.0, math.nan], [0.0, math.inf]]), "2 of 4"),
}
SHAPES = [((4, 3), (4, 2)), ((1, 3), (4, 3)), ((4,), (4,)), ((4, 3, 2), (4, 3, 2))]
FITS = r"allowed: \(n, d\)"
CALLS = {
    **{f"assign {c}": (lambda x=x, y=y: assign(torch.tensor(x), torch.tensor(y)), m) for c, (x, y, m) in PAIRS.items()},
    **{f"divergence {case}": (lambda x=x, y=y: ot_divergence(x, y), said) for case, (x, y, said) in PAIRS.items()},
    **{f"duals {case}": (lambda cost=cost: duals(cost), said) for case, (cost, said) in COSTS.items()},
    **{f"mmd {a}": (lambda a=a, b=b: mmd_squared(torch.zeros(a), torch.zeros(b)), FITS) for a, b in SHAPES},
}


@pytest.mark.parametrize("case", CALLS)
def test_what_cannot_be_transported_is_refused_in_one_line(case):
    call, said = CALLS[case]
    with pytest.raises(InputError, match=said) as error:
        call()
    assert "\n" not in str(error.value)
