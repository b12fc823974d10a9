"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 training and 10,000 test images, 32 px as in GLDO or 28 px."""

from latent_ot.datasets.idx import IdxSource


class FashionMnist(IdxSource):
    """Read from ``<data-dir>/FashionMNIST/raw``."""

    names = ("fashion_mnist", "fashion_mnist28")
    version = 1
    evaluator = "fashion_mnist"
    folder = "FashionMNIST"
