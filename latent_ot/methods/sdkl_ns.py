"""SDKL without sampling: SDKL whose discriminator sees generated images as they are, without the likelihood's noise.

Berger and Sebag, "New Losses for Generative Adversarial Learning", 2018, https://arxiv.org/abs/1807.01290, Section 4.2:
like VAE/GAN it means two models, the VAE's with noise and the GAN's without; unlike VAE/GAN its discriminator compares
images with samples G(z) of the prior and never with reconstructions.
"""

from torch import Tensor

from latent_ot.methods.sdkl import Sdkl, SdklConfig


class SdklNs(Sdkl):
    """Encoder E, generator G, discriminator D."""

    version = 1
    Config = SdklConfig
    replayable = True

    def logits_of_generated(self, mean: Tensor) -> Tensor:
        """Return D's logits (n, 1) of the images G(z) = ``mean`` themselves."""
        return self.D(mean)
