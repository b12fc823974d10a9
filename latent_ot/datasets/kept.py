"""Images from their prepared form, as long as today's code would make the same of today's original files.

What another version, crop, size or filter made, or what was made of other files, is made anew, never served.
"""

import contextlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from latent_ot.datasets import prepared, writer
from latent_ot.datasets.content import CARD, Card, content_id, difference, relative, state, write_card
from latent_ot.datasets.prepared import Kept
from latent_ot.datasets.source import Source, looked_at
from latent_ot.datasets.stream import Splits, Stream
from latent_ot.errors import InputError

log = logging.getLogger("latent_ot")


class Served(NamedTuple):
    """Images with their id, origin and content id."""

    key: str
    splits: Splits
    origin: dict[str, Any]
    content_id: str


@dataclass(frozen=True)
class Making:
    """How a set is made: ``source`` reads it by ``name``; it is kept as ``key`` under ``data_dir``.

    ``subset``: training images, where it is a part with an id of its own. ``place``: folder of the original files,
    where that is not the source's own choice. ``remade``: False for a user's arrays, which are originals themselves.
    """

    source: Source
    name: str
    key: str
    data_dir: Path
    subset: int | None = None
    place: Path | None = None
    remade: bool = True

    @property
    def folder(self) -> Path:
        """Where the prepared form is."""
        return self.data_dir / self.key

    @property
    def origin(self) -> dict[str, Any]:
        """What makes the set today."""
        return self.source.origin(self.name, self.subset)

    def missing(self) -> str | None:
        """Say what lacks of the original files."""
        if self.place is not None and not self.place.is_dir():
            return f"data set '{self.key}': its original files are no longer in {self.place}"
        return self.source.missing(self.name, self.data_dir, self.place)

    def at_hand(self) -> "Making":
        """Return the same from the source's own choice of place, where the named one is gone."""
        return replace(self, place=None) if self.place is not None and self.missing() else self

    def files(self) -> list[Any]:
        """Return sizes and times of the original files; empty if these are not here, or need no watching."""
        if self.missing():
            return []
        found = state(self.source.originals(self.name, self.data_dir, self.place))
        return found if all(size for _, size, _ in found) else []

    def card(self) -> Card:
        """Return what is known of the set before its files are read."""
        place = None if self.place is None else relative(self.place, self.data_dir)
        return Card(self.origin, files=self.files(), place=place)

    def read(self) -> tuple["Making", Splits | Stream, Card]:
        """Read the original files, fetched if they can be: only they tell the whole set from a part with its own id.

        Returns:
            How the set is made that they amount to, its images, and its card.

        Raises:
            InputError: if files are missing or damaged.
        """
        problem = self.missing()
        if problem and self.source.downloads and self.place is None:
            self.source.download(self.name, self.data_dir)
        elif problem:
            raise InputError(problem)
        card = self.card()  # before the files are read, so that one replaced meanwhile is noticed the next time
        made = looked_at(self.source, self.source.read(self.name, self.data_dir, self.place))
        if not isinstance(made, Stream):
            return self, made, card
        found = replace(self, key=made.id, subset=None if made.id == self.name else len(made.train))
        return found, made, replace(card, origin=found.origin)

    def stale(self, card: Card | None) -> bool:
        """Say whether what is kept with this card is not what today's code would make."""
        return self.remade and (card is None or card.origin != self.origin)


def serve(making: Making, verify: bool = False) -> Served:
    """Return the prepared images, made or made anew where they have to be.

    Args:
        making: the set.
        verify: read arrays and original files again, whatever their sizes and times.

    Raises:
        InputError: if files are missing or damaged, or stale images cannot be made anew.
    """
    kept = _kept(making)
    if kept is None:  # nothing whole by this name, but its files may amount to a part that is there
        making, made, card = making.read()
        kept = _kept(making)
        if kept is None:
            return _write(making, made, card)
    else:
        card = making.card()
    if making.stale(kept.card):
        return _remake(making, kept)
    recorded = kept.card or Card()
    changed = bool(card.files) and card.files != recorded.files
    if making.remade and (changed or (verify and making.missing() is None)):
        found, made, card = making.read()
        if found.key != making.key:  # the files here are another set's by now
            card = replace(card, origin=making.origin, files=recorded.files)
        elif _id(making, made) != _id(making, kept.splits):
            what = "original files changed" if changed else "prepared images are not what its original files give"
            log.warning("data set '%s': its %s: made anew", making.key, what)
            return _write(making, made, card, kept)
    return _served(making, kept, card, verify)


def _kept(making: Making) -> Kept | None:
    return prepared.sound(making.folder) if making.remade else prepared.kept(making.folder)


def _id(making: Making, splits: Splits | Stream) -> str:
    return content_id(making.key, splits, making.origin)


def _remake(making: Making, kept: Kept) -> Served:
    """Make images anew that another version, crop, size or filter made."""
    recorded = kept.card.origin if kept.card else None
    why = difference(recorded, making.origin)
    making = making.at_hand()
    try:
        found, made, card = making.read()
        if found.key != making.key:
            raise InputError(f"the original files here are those of '{found.key}'")
    except InputError as problem:
        own = "" if recorded else f"; if those arrays are your own originals, delete {CARD} beside them"
        where = f"data set '{making.key}' in {making.folder}"
        raise InputError(f"{where}: {why}, and it cannot be made anew: {problem}{own}") from None
    log.warning("data set '%s': %s: made anew", making.key, why)
    return _write(making, made, card, kept)


def _write(making: Making, made: Splits | Stream, card: Card, instead: Kept | None = None) -> Served:
    """Keep what was made; where that is not possible, arrays stay in memory."""
    try:
        kept = writer.write(making.folder, made, card, instead)
    except OSError as error:
        if isinstance(made, Stream):
            raise writer.unwritable(making.data_dir, made, error) from None
        why = error.strerror or error
        log.warning("data set '%s' stays in memory: %s cannot be written (%s)", making.key, making.data_dir, why)
        return Served(making.key, made, making.origin, _id(making, made))
    return _served(making, kept, card)


def _served(making: Making, kept: Kept, card: Card, verify: bool = False) -> Served:
    """Return what is kept, and note its content id until its files change."""
    recorded, state = kept.card or Card(), [making.key, *kept.stats]
    known = not verify and (recorded.state, recorded.origin) == (state, card.origin)
    content = recorded.content_id if known and recorded.content_id else _id(making, kept.splits)
    if verify and recorded.state == state and recorded.content_id not in (None, content):
        log.warning("data set '%s': its prepared images are no longer those that were hashed", making.key)
    files, place = card.files or recorded.files, card.place or recorded.place
    now = replace(card, notes=kept.splits.notes, files=files, place=place, state=state, content_id=content)
    if now != kept.card and prepared.stats(making.folder) == kept.stats:
        with contextlib.suppress(OSError):  # a data folder that cannot be written is hashed on every load
            write_card(making.folder, now)
    return Served(making.key, kept.splits, making.origin, content)
