"""The table of ``latent-ot quality``: anyone's images as a trained method scores them."""

from typing import TYPE_CHECKING

from latent_ot.report.text import Cell, Column, Grid

if TYPE_CHECKING:
    from latent_ot.metrics.quality import Report


def quality_grid(found: "Report") -> Grid:
    """Return the images of a folder as a table, best first."""
    columns = (
        Column("file", "file", right=False),
        Column("error", "error ↓"),
        Column("score", "score ↑"),
        Column("inside", f"in HDR({found.level:.4g})"),
    )
    rows = tuple(
        (Cell.of(file), Cell(f"{error:.3f}", {"": error}), Cell(f"{score:.3g}", {"": score}),
         Cell("yes" if inside else "no", {"": inside}))
        for file, error, score, inside in found.images
    )  # fmt: skip
    threshold, fitted, reached, tested = found.region
    region = f"HDR: error <= {threshold:.3f}, {1 - found.level:.4g} of {fitted:,} held-out images"
    region += f"; of {tested:,} others it leaves out {reached:.3g}, which should be {found.level:.4g}"
    notes = [": ".join([f"{len(found.outliers)} outliers", *filter(None, [", ".join(found.outliers)])])]
    notes += [f"unreadable: {', '.join(found.unreadable)}"] if found.unreadable else []
    title = f"{found.method} on {found.dataset}: error ||x - G(Q(x))|| and quality score exp(-error)"
    return Grid(title, columns, rows, (region,), tuple(notes))
