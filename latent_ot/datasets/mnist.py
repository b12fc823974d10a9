"""MNIST (LeCun, Cortes, Burges): 60,000 training and 10,000 test images, 32 px as in GLDO or 28 px as in iWGAN."""

from latent_ot.datasets.idx import IdxSource


class Mnist(IdxSource):
    """Read from ``<data-dir>/MNIST/raw``."""

    names = ("mnist", "mnist28")
    version = 1
    evaluator = "mnist"
    folder = "MNIST"
