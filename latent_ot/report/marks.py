"""What a record says against taking its numbers at their face, in words: tables and claims print it beside them."""

from latent_ot.record import Record

COLLAPSED = "the samples have collapsed, they vary less than a tenth as much as the data"


def marks(record: Record) -> list[str]:
    """Return the marks of a run, none for one that has nothing against it."""
    return [COLLAPSED] if record.facts.get("collapsed") else []
