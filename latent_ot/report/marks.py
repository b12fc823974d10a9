"""What a reader is told of the records behind numbers: which are outdated, which are not published, which protocol."""

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
    lines = []
    for why in dict.fromkeys(reason for record in records for reason in record.outdated):
        told = why if why.startswith(EDITED) else f"today's code would give another result: {why}"
        lines.append(f"{told} ({who([r for r in records if why in r.outdated], among or records)})")
    return lines


def not_published(shown: Iterable[Record], records: Sequence[Record]) -> list[str]:
    """Return a line that names the runs shown that come from the store, if ``records`` are of both places."""
    every = unique(shown)
    ours = [record for record in every if record.stored]
    both = ours and not all(record.stored for record in records)
    return [f"not published, from the store: {who(ours, every)}"] if both else []


def who(records: Sequence[Record], among: Sequence[Record]) -> str:
    """Return methods with their seeds; with the data set and budget, where ``among`` has runs of several."""
    several = len({(record.dataset, record.at) for record in among}) > 1
    seeds: dict[str, set[int]] = {}
    for record in records:
        where = f" on {record.dataset} at {record.at}" if several else ""
        seeds.setdefault(record.method + where, set()).add(record.seed)
    return "; ".join(f"{name} {numbered(found)}" for name, found in seeds.items())


def numbered(seeds: Iterable[int]) -> str:
    """Return ``seed 0`` or ``seeds 0, 1``."""
    listed = ", ".join(map(str, sorted(seeds)))
    return f"seed{'s' if ',' in listed else ''} {listed}"


def lettered(names: Iterable[str]) -> dict[str, str]:
    """Return name -> the tag of what belongs to it, `` [a]``, `` [b]``; of a single name an empty one."""
    every = list(dict.fromkeys(names))
    return {name: f" [{chr(ord('a') + i)}]" if len(every) > 1 else "" for i, name in enumerate(every)}
