"""What a reader is told of the records behind numbers: which are outdated, which come from the store."""

from collections.abc import Iterable, Sequence

from latent_ot.record import Record

DAGGER = "†"
EDITED = "edited"
"""How the reasons begin that are not the code's."""


def unique(records: Iterable[Record]) -> list[Record]:
    """Return each record once, in the order of the first places."""
    return list({record.stem: record for record in records}.values())


def outdated(records: Sequence[Record], among: Sequence[Record] = ()) -> list[str]:
    """Return one line a reason: why records are outdated, and which; see ``who``."""
    found: dict[str, list[Record]] = {}
    for record in records:
        for reason in record.outdated:
            found.setdefault(reason, []).append(record)
    told = {why: why if why.startswith(EDITED) else f"today's code would give another result: {why}" for why in found}
    return [f"{told[why]} ({who(which, among or records)})" for why, which in found.items()]


def not_published(shown: Iterable[Record], records: Sequence[Record]) -> list[str]:
    """Return a line that names the runs shown that come from the store, if ``records`` are of both places."""
    every = unique(shown)
    ours = [record for record in every if record.stored]
    both = ours and not all(record.stored for record in records)
    return [f"not published, from the store: {who(ours, every)}"] if both else []


def who(records: Sequence[Record], among: Sequence[Record]) -> str:
    """Return methods with their seeds; with the data set and budget, where ``among`` has runs of several."""
    places = {(record.dataset, record.at) for record in among}
    seeds: dict[str, set[int]] = {}
    for record in records:
        where = f" on {record.dataset} at {record.at}" if len(places) > 1 else ""
        seeds.setdefault(record.method + where, set()).add(record.seed)
    numbers = {name: ", ".join(map(str, sorted(found))) for name, found in seeds.items()}
    return "; ".join(f"{name} seed{'s' if ',' in listed else ''} {listed}" for name, listed in numbers.items())
