"""The picture of what a fitted latent sampler does to the plane, of whichever kind the sampler has."""

from pathlib import Path

from latent_ot.pictures.cells import Cells, draw_cells
from latent_ot.pictures.lines import Lines, draw_lines

Plane = Cells | tuple[Lines, ...]


def save_plane(path: Path, plane: Plane) -> None:
    """Write what ``LatentSampler.plane`` returned as PNG; equal arrays give equal bytes.

    Raises:
        InputError: for arrays of other shapes than the kind has.
    """
    if isinstance(plane, Cells):
        draw_cells(path, plane)
    else:
        draw_lines(path, *plane)
