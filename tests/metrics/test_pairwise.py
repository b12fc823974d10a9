"""One pass over all pairs holds no more than tiles of them, however many samples there are."""

import torch
from driving import normal
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latent_ot.metrics import pairwise, prdc
from latent_ot.metrics.cmmd import GaussianKernels
from latent_ot.metrics.inputs import in_slices
from latent_ot.metrics.kid import SUBSETS, Kernels
from latent_ot.metrics.pairwise import Features, sweep
from latent_ot.metrics.prdc import Neighbourhoods


class Largest(TorchDispatchMode):
    """The most elements of any tensor that is made."""

    def __init__(self):
        super().__init__()
        self.most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        self.most = max([self.most, *(x.numel() for x in tree_leaves(made) if isinstance(x, torch.Tensor))])
        return made


def test_no_tensor_grows_with_the_square_of_the_samples(monkeypatch):
    tile, width = 32, 6
    monkeypatch.setattr(pairwise, "TILE", tile)
    monkeypatch.setattr(prdc, "AT_ONCE", 1024)
    for n in (200, 400):
        with Largest() as seen:
            features = Features(normal(n, width), normal(n, width, 1) + 0.2)
            sweep(features, Kernels(features), Neighbourhoods(features), GaussianKernels(features))
        assert seen.most <= max(tile * tile, n * SUBSETS, n * width), n
        assert seen.most < n * n


def test_what_is_made_in_slices_is_what_is_made_at_once():
    x = normal(23, 4)
    made = []
    found = in_slices(23, 5, lambda part: made.append(part) or x[part].double().sum(dim=1))
    assert torch.equal(found, x.double().sum(dim=1))
    assert [part.stop - part.start for part in made] == [5, 5, 5, 5, 3]
