"""The one home of what tables show: each figure's name, which direction is better, and how it is printed."""

from dataclasses import dataclass
from typing import Literal

NONE = "–"
Direction = Literal["up", "down", "none"]
CODES = ("code_w2", "code_precision", "code_recall", "code_repeats")
"""The figures of a latent sampler apart from the decoder."""


@dataclass(frozen=True)
class Quantity:
    """``digits``: decimals printed. ``scale``: factor on the recorded value before printing, stated in the label.

    ``style``: "g" prints so many significant digits instead, for values that span orders of magnitude.
    """

    key: str
    label: str
    direction: Direction
    digits: int
    scale: float = 1.0
    style: Literal["f", "g"] = "f"

    @property
    def head(self) -> str:
        """Column heading; the arrow points where better is."""
        return self.label + {"up": " ↑", "down": " ↓", "none": ""}[self.direction]

    def text(self, value: float) -> str:
        """Return one value as tables print it."""
        return f"{value * self.scale:,.{self.digits}{self.style}}"


QUANTITIES = {
    quantity.key: quantity
    for quantity in (
        Quantity("fid", "FID", "down", 3),
        Quantity("is", "IS", "up", 2),
        Quantity("kid", "KID ×1000", "down", 2, 1000.0),
        Quantity("prd_f8", "F8", "up", 3),
        Quantity("prd_f1_8", "F1/8", "up", 3),
        Quantity("precision", "precision", "up", 3),
        Quantity("recall", "recall", "up", 3),
        Quantity("density", "density", "up", 3),
        Quantity("coverage", "coverage", "up", 3),
        Quantity("psnr", "PSNR", "up", 2),
        Quantity("ssim", "SSIM", "up", 3),
        Quantity("interp_fid", "FID between codes", "down", 3),
        Quantity("interp_smoothness", "walk max/mean step", "down", 2),
        Quantity("code_w2", "code W2", "down", 3),
        Quantity("code_precision", "code precision", "up", 3),
        Quantity("code_recall", "code recall", "up", 3),
        Quantity("code_repeats", "repeated codes", "down", 3),
        Quantity("ot_divergence", "OT divergence", "down", 4),
        Quantity("ot_divergence_std", "scatter of one draw", "none", 4),
        Quantity("modes", "modes", "up", 1),
        Quantity("high_quality", "high quality", "up", 3),
        Quantity("discriminator", "discriminator loss (nats)", "none", 3, style="g"),
        Quantity("kl", "KL stored (nats)", "none", 2),
        Quantity("gap", "duality gap", "down", 3, style="g"),
        Quantity("seconds", "seconds", "none", 1),
        Quantity("images_seen", "images seen", "none", 0),
        Quantity("parameters", "parameters", "none", 0),
        Quantity("peak_memory_mb", "peak MiB", "none", 0),
    )
}
