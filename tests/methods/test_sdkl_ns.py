import torch
from hybrids import build, images, moved, parameters

from latent_ot.methods.sdkl import Sdkl


def test_it_is_sdkl_but_for_the_noise(train):
    """With next to no noise SDKL takes the same step."""
    steps = []
    for name, settings in (("sdkl_ns", {}), ("sdkl", {})):
        method = build(name, **settings)
        assert isinstance(method, Sdkl)
        if name == "sdkl":
            noise = method.noise
            method.noise = lambda n, d, noise=noise: noise(n, d) * (d == 5)  # of codes only
        before = parameters(method)
        train(method, images(method))
        steps.append([moved(method, before, network) for network in ("E", "G", "D")])
    for one, other in zip(*steps, strict=True):
        torch.testing.assert_close(one, other)


def test_its_discriminator_never_sees_a_reconstruction(train):
    method, made, judged = build("sdkl_ns", n_critic=2), [], []
    method.G.register_forward_hook(lambda module, args, output: made.append((args[0].detach().clone(), output)))
    method.D[3].register_forward_pre_hook(lambda module, args: judged.append(args[0].detach().clone()))
    train(method, images(method))
    codes = [z for z, _ in made]
    assert [torch.equal(z, method.noise(4, 5)) for z in codes] == [True, True, False, True]  # the third from E
    assert len(judged) == 2 * 2 + 1
