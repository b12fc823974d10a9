"""FID against held-out images, beside FID against training images: what repeats these is no nearer to those."""

from latent_ot.metrics.base import Metric
from latent_ot.metrics.features import FeatureSet
from latent_ot.metrics.fid import with_interval
from latent_ot.metrics.training import Training


class FidHeldOut(Metric):
    """Fréchet distance to as many held-out images; that of training images to them is the data row's FID."""

    version = 1
    quantities = {
        "fid_test": {"label": "FID held-out", "direction": "down", "digits": 3, "group": "copies", "floor": "data.fid"},
    }
    measures = "copies"

    @staticmethod
    def compute(training: Training, samples: FeatureSet) -> dict[str, float]:
        """Return it; samples that are the held-out images themselves have none."""
        training.check_new(samples, "FID to held-out images")
        return {"fid_test": with_interval(training.held_out, samples)}
