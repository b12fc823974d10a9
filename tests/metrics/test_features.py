import threading

import numpy as np
import pytest
import torch

from latent_ot.errors import InputError
from latent_ot.metrics.evaluators.base import Evaluator
from latent_ot.metrics.features import FeatureSet, cached, extract
from latent_ot.metrics.fid import Moments, fid


def some(n=30, d=5, k=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return FeatureSet(torch.randn(n, d, generator=g), torch.randn(n, k, generator=g))


class Means(Evaluator):
    def forward(self, images):
        flat = images.float().flatten(1)
        return flat[:, :4], flat.mean(dim=1, keepdim=True)


def test_an_evaluator_gives_one_row_an_image():
    images = torch.arange(3 * 12, dtype=torch.uint8).reshape(3, 1, 3, 4)
    found = extract(Means("means", "0" * 64), images)
    assert len(found) == 3
    assert found.features.tolist() == [[0, 1, 2, 3], [12, 13, 14, 15], [24, 25, 26, 27]]


def test_a_file_keeps_every_bit_and_leaves_nothing_else(tmp_path):
    kept = some()
    kept.save(tmp_path / "real.npz")
    found = FeatureSet.load(tmp_path / "real.npz")
    assert torch.equal(found.features, kept.features)
    assert torch.equal(found.logits, kept.logits)
    assert [path.name for path in tmp_path.iterdir()] == ["real.npz"]


def test_moments_are_computed_once_and_serve_fid():
    x, y = some(seed=0), some(seed=1)
    assert x.once(Moments.of) is x.once(Moments.of)
    assert fid(x.once(Moments.of), y.once(Moments.of)) == fid(x.features, y.features)


def test_features_are_made_once_even_by_two_at_a_time(tmp_path):
    made = []

    def make():
        made.append(1)
        return some()

    path = tmp_path / "deep" / "real.npz"
    threads = [threading.Thread(target=cached, args=(path, make, FeatureSet)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert torch.equal(cached(path, make, FeatureSet).features, some().features)


def test_a_failure_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError):
        cached(tmp_path / "real.npz", lambda: 1 / 0, FeatureSet)
    assert not (tmp_path / "real.npz").exists()


@pytest.mark.parametrize("content", [b"", b"not features", None])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "real.npz"
    if content is None:
        some().save(path)
        content = path.read_bytes()[:-50]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"/real\.npz' is (damaged \(.*\)|empty); allowed: features and logits"):
        FeatureSet.load(path)


def test_a_pickle_is_never_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("executed",))

    np.savez(tmp_path / "real.npz", features=np.array([Bomb()], dtype=object), logits=np.zeros(1))
    with pytest.raises(InputError, match=r"/real\.npz' is damaged"):
        FeatureSet.load(tmp_path / "real.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"/real\.npz' is missing"):
        FeatureSet.load(tmp_path / "real.npz")
