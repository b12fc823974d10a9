import pytest
import torch
from torch import nn
from torchvision.models import vgg16

from latent_ot.errors import InputError
from latent_ot.losses.perceptual import VGG_CUTS, VGG_FILE, backbone, perceptual, vgg_maps


def test_it_is_the_mean_absolute_difference_of_pixels_and_of_every_level():
    x, y = torch.rand(3, 1, 8, 8), torch.rand(3, 1, 8, 8)
    found = perceptual(x, y, lambda v: [2 * v, v[:, :, ::2, ::2]])
    difference = (x - y).abs()
    known = 3 * difference.mean(dim=(1, 2, 3)) + difference[:, :, ::2, ::2].mean(dim=(1, 2, 3))
    torch.testing.assert_close(found, known)
    assert torch.equal(perceptual(x, x, lambda v: [v]), torch.zeros(3))


def test_a_small_classifier_tells_images_apart_and_passes_gradients_twice():
    maps = backbone("digits", 32, torch.device("cpu"))
    x, y = torch.rand(2, 1, 32, 32).requires_grad_(), torch.rand(2, 1, 32, 32)
    assert [m.shape[1] for m in maps(y)] == [16, 32, 64, 128, 128]
    (gradient,) = torch.autograd.grad(perceptual(x, y, maps).sum(), x, create_graph=True)
    assert gradient.abs().sum() > 0
    assert torch.autograd.grad(gradient.square().sum(), x)[0].isfinite().all()


@pytest.mark.parametrize("levels", [3, 5])
def test_vgg_is_read_after_its_cuts_and_leaves_its_activations_alone(levels):
    torch.manual_seed(0)
    layers = vgg16(weights=None).features.eval()
    reference = nn.Sequential(*[nn.ReLU() if isinstance(m, nn.ReLU) else m for m in layers])
    x = torch.rand(1, 1, 32, 32)
    found = vgg_maps(layers, levels)(x)
    with torch.no_grad():
        for a, cut in zip(found, VGG_CUTS, strict=False):
            torch.testing.assert_close(a, reference[:cut](2 * x.expand(-1, 3, -1, -1) - 1))
    assert len(found) == levels


def test_missing_weights_and_unknown_backbones_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError, match=f"{VGG_FILE} is not in"):
        backbone("vgg16", 32, torch.device("cpu"))
    with pytest.raises(InputError, match="nearest: mnist"):
        backbone("mnits", 32, torch.device("cpu"))
