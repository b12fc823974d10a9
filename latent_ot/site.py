"""The folder of the page to look at: ``index.html``, what it loads and its pictures, all within it."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from latent_ot.errors import InputError
from latent_ot.files import shown, writable, write_atomic
from latent_ot.record import Record
from latent_ot.report.page import pictures_of
from latent_ot.report.site import MADE, assets, site

INDEX = "index.html"


def check(out: Path, what: str = "page") -> None:
    """See, before the work that ends in it, that a page can be written to a folder.

    Raises:
        InputError: if there is an ``index.html`` that the suite did not write.
        StoreError: if the folder takes no files.
    """
    writable(out, what)
    index = out / INDEX
    if index.is_dir() or (index.exists() and index.stat().st_size and not _is_ours(index)):
        where = "allowed: another folder, or move it"
        raise InputError(f"'{shown(index)}' is no page of the suite's, and would be lost; {where}")


def _is_ours(index: Path) -> bool:
    with index.open("rb") as file:
        return file.read(len(MADE)) == MADE


def write(out: Path, records: Sequence[Record], boards: Path, store: Path) -> Path:
    """Write the page over ``records`` to a folder, with copies of the pictures that do not lie there, last itself.

    Args:
        out: the folder; a store's own page is written to the store, and shows the pictures where they are.
        records: marked ones; those of the store are ``stored``.
        boards: where the others' pictures lie, in its ``results``.
        store: where the pictures of stored ones lie.

    Returns:
        The page.

    Raises:
        InputError: see ``check``.
        StoreError: if the folder cannot be written.
    """
    check(out)
    found: dict[Path, Path] = {}

    def pictures(run: Record) -> dict[str, str]:
        """Return a run's pictures as the page links them, and see that they are there."""
        root = store if run.stored else boards
        links = pictures_of(root, run)
        found.update({out / unquote(link): root / unquote(link) for link in links.values()})
        return links

    page = site(records, pictures)
    for name, data in assets().items():
        _write(out / "assets" / name, data)
    for path, source in found.items():
        if path.resolve() != source.resolve():
            _write(path, source.read_bytes())
    _write(out / INDEX, page)
    return out / INDEX


def _write(path: Path, data: bytes) -> None:
    """Write what differs from what is there."""
    if not path.exists() or path.read_bytes() != data:
        write_atomic(path, data)
