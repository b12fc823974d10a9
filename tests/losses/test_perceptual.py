import torch

from latent_ot.losses.backbones import backbone
from latent_ot.losses.perceptual import perceptual


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
