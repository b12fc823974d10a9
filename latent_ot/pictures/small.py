"""A run's picture as it is published: small, since whoever has a copy of the repository keeps it for good."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from latent_ot.errors import choose
from latent_ot.files import reading

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = {"samples": 560, "points": 240, "copies": 400}
"""Kind of picture that is published -> its width in pixels at most."""
COLOURS = 16
LIMIT = 12_000  # bytes
CUTS = ((2, 1), (4, 1), (4, 2), (8, 2), (8, 4))
"""What is kept of a sheet of samples until it is small enough: the upper 1/a of it, 1/b of its width."""


def small_picture(path: Path, kind: str) -> bytes:
    """Return a run's picture as a PNG of 16 colours and about 12 kB at most; equal pictures give equal bytes.

    Args:
        path: of the picture in full size.
        kind: ``samples``, a square sheet, of which the upper half is kept, or less where that is too large;
            ``points``, a scatter, which is scaled to 240 pixels; or ``copies``, two rows, scaled to 400.

    Raises:
        InputError: for another kind, or a file that is no picture.
    """
    from PIL import Image

    width = KINDS[choose("kind of picture", kind, KINDS)]
    with reading(path, "a picture (PNG)", "run its command again"), Image.open(path) as file:
        whole = file.convert("L" if file.mode in ("1", "L") else "RGB")
    data = b""
    for part, shrink in CUTS if kind == "samples" else ((1, 1),):
        cut = whole.crop((0, 0, whole.width, whole.height if part == 1 else whole.height // part + 1))
        wide = max(1, min(width, cut.width) // shrink)
        data = _png(cut.resize((wide, max(1, round(cut.height * wide / cut.width))), Image.Resampling.BOX))
        if len(data) <= LIMIT:
            break
    return data


def _png(image: "Image") -> bytes:
    out = io.BytesIO()
    image.quantize(COLOURS).save(out, format="PNG", optimize=True, bits=4)
    return out.getvalue()
