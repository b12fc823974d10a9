import torch
from hybrids import build, images, moved, parameters


def test_its_discriminator_learns_as_that_of_sdkl_without_sampling_and_its_generator_otherwise(train):
    steps = []
    for name in ("vae_adv_perc", "sdkl_ns"):
        method = build(name)
        before = parameters(method)
        train(method, images(method))
        steps.append([moved(method, before, network) for network in ("D", "E", "G")])
    for one, other in zip(*[s[:2] for s in steps], strict=True):
        assert torch.equal(one, other)
    assert not torch.allclose(steps[0][2], steps[1][2])
