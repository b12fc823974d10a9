"""A method in anyone's own trainer, on an ordinary loader: its step gets the batch that it consumes, or one line."""

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from latent_ot.catalog import Catalog
from latent_ot.errors import InputError
from latent_ot.stage import Batch, Spec

IMAGES = torch.rand(90, 1, 16, 16, generator=torch.Generator().manual_seed(0))
ROWS = [Batch(i, x) for i, x in enumerate(IMAGES)]
KINDS = {"wgan_gp": 40, "sdkl": 32, "glo": 8, "vae": 8, "dcgan": 8}
"""Names of a critic's method, a hybrid, one with a code per image and two plain ones -> images of a step."""


def build(name, count=90):
    torch.manual_seed(0)
    stage = Catalog().stage("methods", name)
    return stage(stage.Config.build({"batch_size": 8, "latent_dim": 5}, name), Spec((1, 16, 16), count, 10**4, 0.1))


def fit(method, loader, epochs=1):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    L.Trainer(accelerator="cpu", max_epochs=epochs, enable_model_summary=False, **quiet).fit(method, loader)
    return method


@pytest.mark.parametrize("name", KINDS)
def test_an_ordinary_loader_of_the_steps_own_batches_trains(name):
    method = build(name)
    assert method.rows_per_step == KINDS[name]
    before = {key: value.clone() for key, value in method.state_dict().items()}
    fit(method, DataLoader(ROWS, method.rows_per_step, shuffle=True, drop_last=True), epochs=2)
    assert method.step == 2 * (90 // KINDS[name])
    assert method.images_seen == method.step * KINDS[name]
    assert any(not torch.equal(value, before[key]) for key, value in method.state_dict().items())


@pytest.mark.parametrize("name", KINDS)
def test_a_batch_of_another_size_is_never_cut_up(name):
    allowed = rf"{name}: batch.image of shape \(%d, 1, 16, 16\); allowed: \({KINDS[name]}, 1, 16, 16\)"
    method = build(name)
    with pytest.raises(InputError, match=allowed % 64 + rf".*DataLoader\(.*, {KINDS[name]}, drop_last=True\)"):
        fit(method, DataLoader(ROWS, 64))
    assert not method.updates
    with pytest.raises(InputError, match=allowed % (90 % KINDS[name])):  # the rest at the end of an epoch
        fit(build(name), DataLoader(ROWS, KINDS[name]))


class Named(Dataset):
    """Rows as dictionaries."""

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, i):
        return {"pixels": IMAGES[i], "label": 0}


LOADERS = {
    "list": (TensorDataset(IMAGES, torch.zeros(90)), "a batch of type list; allowed: latent_ot.stage.Batch"),
    "tensor": (IMAGES, "a batch of type Tensor; allowed: latent_ot.stage.Batch"),
    "dict": (Named(), "a batch of type dict of pixels, label; allowed"),
    "bytes": (
        [Batch(i, (255 * x).byte()) for i, x in ROWS],
        "batch.image of type torch.uint8; allowed: a tensor of float",
    ),
    "size": ([Batch(i, x[:, :8]) for i, x in ROWS], r"batch.image of shape \(8, 1, 8, 16\); allowed: \(8, 1, 16, 16\)"),
    "range": ([Batch(i, 255 * x) for i, x in ROWS], r"batch.image from .* to 25\d.*; allowed: images in \[0, 1\]"),
    "nan": ([Batch(i, x / 0) for i, x in ROWS], "batch.image from (inf|nan) to (inf|nan); allowed"),
    "places": ([Batch(i + 90, x) for i, x in ROWS], "batch.index from 90 to 97; allowed: 0 to 89"),
    "float places": (
        [Batch(float(i), x) for i, x in ROWS],
        r"batch.index is torch.float64 \(8,\); allowed: torch.int64",
    ),
    "names": ([Batch(str(i), x) for i, x in ROWS], "batch.index is (list|tuple); allowed: torch.int64"),
}


@pytest.mark.parametrize("name", ["glo", "vae"])
@pytest.mark.parametrize("form", LOADERS)
def test_what_is_no_batch_is_one_line(form, name):
    rows, what = LOADERS[form]
    with pytest.raises(ValueError, match=f"^{name}: {what}") as error:
        fit(build(name), DataLoader(rows, 8))
    assert isinstance(error.value, InputError)
    assert "\n" not in str(error.value)


def test_the_batch_of_a_set_larger_than_the_methods_is_found_before_its_code_is_missed():
    with pytest.raises(InputError, match="allowed: 0 to 39"):
        fit(build("glo", count=40), DataLoader(ROWS, 8))
