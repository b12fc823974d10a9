"""The ``latent-ot`` command: results on stdout, progress and errors on stderr, and an exit code of ``EXIT_CODES``."""

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latent_ot.discovery import blamed
from latent_ot.errors import InputError, RunFailed, StoreError, one_line, within
from latent_ot.files import check_out
from latent_ot.interrupts import EXIT, STOPPED, deaf, ended
from latent_ot.options import BENCH, ONE_RUN, SCORED, TRACK, WHERE, Options, app, command, invoke, numbers, words
from latent_ot.terminal import is_terminal, streams

if TYPE_CHECKING:
    from latent_ot.bench.request import Request
    from latent_ot.bench.tracking import Tracking
    from latent_ot.published import PublishedTable
    from latent_ot.record import Record
    from latent_ot.report.expected import Expected

MOST = 10_000  # images in a picture that somebody looks at, epochs of a small network
DRAWS = 1_000_000  # samples for another evaluator


@command(f"methods {BENCH} stop {TRACK}")
def bench(given: Options) -> None:
    """Train, evaluate and rank methods on one data set; finished work is reused, stopped work resumes."""
    from latent_ot.report.tables import print_bench

    finish(given.request(), print_bench, given.tracking())


@command(f"{BENCH} {TRACK}")
def grid(
    given: Options,
    representations: Annotated[str, typer.Option(help="Names; default: all that take the data set.")] = "",
    samplers: Annotated[str, typer.Option(help="Names; default: all.")] = "",
) -> None:
    """Run every representation with every latent sampler; each is trained once, each sampler once on each."""
    from latent_ot.report.grid import print_grid

    asked = replace(given.request(), grid=(words(representations), words(samplers)))
    finish(asked, print_grid, given.tracking())


def finish(asked: "Request", show: Callable[..., None], tracking: "Tracking") -> None:
    """Run a benchmark, write the store's pages, show its records, tell the dashboards and exit as its end calls for."""
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.finished import recall
    from latent_ot.record import checked

    with tracking:
        records, stopped = recall(asked), False
        if records is None:
            check_store(asked.store)  # a page that cannot be written is said before hours of work, not after
            made, stopped = Benchmark(asked, tracking).execute()
            records = [checked(record) for record in made]
        write_store_pages(asked.store)
        show(records)
        if tracking.kinds and records and not stopped:
            hand(tracking, records, asked.store)
        if stopped:
            raise KeyboardInterrupt
    conclude(False, [record.status for record in records])


def hand(tracking: "Tracking", records: Sequence["Record"], store: Path) -> None:
    """Hand the dashboards the table of a benchmark, and what is published beside ours, as the report makes them."""
    from latent_ot.bench.currency import stored
    from latent_ot.bench.trackers.base import Handed, group
    from latent_ot.report.ranking import bench_table
    from latent_ot.report.tables import beside, handed

    tags = records[0].dataset, records[0].budget
    tables = {"table": bench_table(records), **beside(*tags, stored(store))}
    tracking.hand(group(*tags), f"{group(*tags)}-table", (Handed(*table) for table in handed(tables)), tags)


def conclude(stopped: bool, statuses: Iterable[str]) -> None:
    """End a command as its runs call for: 130 if the user stopped it, 1 if one of them failed or diverged.

    Raises:
        KeyboardInterrupt: for ``main``, which says how to go on.
    """
    if stopped:
        raise KeyboardInterrupt
    if not {"failed", "diverged"}.isdisjoint(statuses):
        raise typer.Exit(1)


def check_store(store: Path) -> None:
    """See that the pages of a store can be written; see ``leaderboard.check`` and ``site.check``."""
    from latent_ot import leaderboard, site

    leaderboard.check(store, "store")
    site.check(store, "store")


def write_store_pages(store: Path) -> None:
    """Bring the pages over the store's own records up to date; the same records and code need no second drawing."""
    from latent_ot.bench.currency import fingerprint, stored
    from latent_ot.files import write_atomic

    records, memory = stored(store), store / "cache" / "pages"
    made_from, pages = fingerprint(records), (store / "README.md", store / "index.html")
    if all(page.exists() for page in pages) and memory.exists() and memory.read_bytes() == made_from:
        return
    from latent_ot import site
    from latent_ot.leaderboard import write

    write(store, records)
    site.write(store, records, store, store)
    write_atomic(memory, made_from)


@command(f"methods {BENCH} stop as_json")
def plan(given: Options) -> None:
    """Say what bench would run, what of it is done, and how long each stage takes here; nothing is kept."""
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.forecast import outlook
    from latent_ot.report.forecast import forecast_grid
    from latent_ot.report.text import show

    found = outlook(Benchmark(given.request()))
    if given.as_json:
        print(json.dumps(found, indent=1))
    else:
        show([forecast_grid(found)])


@command(f"{ONE_RUN} stop {TRACK}")
def train(given: Options) -> None:
    """Train one method's stages, without scoring it; an evaluator that is named must be none that trains it."""
    with given.tracking() as tracking:
        for folder in given.benchmark(tracking).train_only(given.method, given.seed):
            print(folder)


@command(f"{ONE_RUN} as_json")
def evaluate(given: Options) -> None:
    """Score one method (training it first if need be) and print its metrics, under each protocol; no leaderboard."""
    benchmark = given.benchmark()
    plans = [benchmark.planned(given.method, given.seed, one) for one in benchmark.each(benchmark.planner)]
    records, stopped = benchmark.score(plans)
    if stopped:
        raise KeyboardInterrupt
    if given.as_json:
        print(json.dumps(records if len(records) > 1 else records[0], indent=1, sort_keys=True))
    for record in records:
        if record["status"] != "done":
            wrong = InputError if record["status"] == "declined" else RunFailed
            raise wrong(f"{given.method}: {record['status']}: {record['reason']}")
        if given.as_json:
            continue
        if len(records) > 1:
            print(record["protocol"]["id"])
        for name, value in sorted(record["metrics"].items()):
            print(f"{name:<16} {value:.6g}")


def _out(given: Options, name: str) -> Path:
    """Return where a picture goes, which is seen to before it is made."""
    out = given.out or Path(name)
    check_out(out)
    return out


@command(f"{ONE_RUN} out")
def sample(given: Options, n: Annotated[int, typer.Option(min=1, max=DRAWS, help="How many.")] = 64) -> None:
    """Draw from a trained method into a picture (2-D sets: a scatter plot), a file .npz or .npy, or a folder of PNG."""
    from latent_ot.bench import export, pictures

    if given.out is not None and export.exports(given.out):
        export.check(given.out)
        export.export(given.benchmark(), given.method, given.seed, n, given.out)
        print(given.out)
        return
    out = _out(given, "samples.png")
    pictures.sample(given.benchmark(), given.method, given.seed, within("n", n, 1, MOST), out)
    print(out)


@command(f"dataset budget seed subset data_dir store leaderboards plugins threads verify gpus {SCORED}")
def score(
    given: Options,
    images: Annotated[Path, typer.Argument(help="A folder of pictures, or a file .npz or .npy, uint8 (N, H, W, C).")],
    name: Annotated[str, typer.Option(help="What its row is called; default: as the folder or the file.")] = "",
) -> None:
    """Score images made elsewhere under a data set's protocol: a row beside the suite's, marked external."""
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.currency import everything
    from latent_ot.bench.score import score as scored
    from latent_ot.report.tables import print_bench

    check_store(given.store)
    benchmark = Benchmark(replace(given.request([]), seeds=[given.seed]))
    made = scored(benchmark, images, name)
    write_store_pages(given.store)
    under = {record["protocol"]["id"] for record in made}
    beside = (r for r in everything(given.leaderboards, given.store) if r.protocol and r.protocol.id in under)
    print_bench([r for r in beside if (r.budget, r.threads, r.devices) == (given.budget, given.threads, 1)])
    conclude(False, [record["status"] for record in made])


@command(f"{ONE_RUN} out")
def reconstruct(
    given: Options,
    n: Annotated[int, typer.Option(min=1, max=MOST, help="How many held-out images.")] = 16,
    steps: Annotated[
        int, typer.Option(min=1, max=100_000, help="Adam steps where codes are found by optimisation.")
    ] = 200,
) -> None:
    """Reconstruct held-out images: originals above, reconstructions below."""
    from latent_ot.bench import pictures

    out = _out(given, "reconstructions.png")
    print(f"{pictures.reconstruct(given.benchmark(), given.method, given.seed, n, steps, out):.2f} dB")
    print(out)


@command(f"{ONE_RUN} out")
def interpolate(
    given: Options,
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Pairs of drawn codes.")] = 8,
    steps: Annotated[int, typer.Option(min=2, max=1000, help="Images from one code to the other.")] = 10,
) -> None:
    """Walk between drawn codes in straight lines (GLO: projected to the sphere), one pair a row."""
    from latent_ot.bench import pictures

    out = _out(given, "interpolations.png")
    pictures.interpolate(given.benchmark(), given.method, given.seed, rows, steps, out)
    print(out)


@command(f"{ONE_RUN} out as_json")
def quality(
    given: Options,
    images: Annotated[Path, typer.Option(help="Folder of the images to score, of any size and format.")],
    n: Annotated[int, typer.Option(min=1, max=MOST, help="How many of the best and of the worst to draw.")] = 16,
    level: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Share of held-out images that the highest density region is to leave outside."
        ),
    ] = 0.05,
) -> None:
    """Score images by how well a trained method with an encoder knows them: best above, worst below; name outliers."""
    from latent_ot.bench import quality as scoring
    from latent_ot.report.quality import quality_grid
    from latent_ot.report.text import show

    out = _out(given, "quality.png")
    report = scoring.quality(given.benchmark(), given.method, given.seed, images, n, level, out)
    if given.as_json:
        print(json.dumps(report.data(), indent=1))
    else:
        show([quality_grid(report)])
        print(out)


@command("plugins as_json")
def list_(given: Options) -> None:
    """List methods, latent samplers, data sets, evaluators, budgets and published tables."""
    from latent_ot.catalog import Catalog
    from latent_ot.inventory import inventory

    catalog = Catalog(given.plugins or [])
    found = inventory(catalog)
    if given.as_json:
        print(json.dumps(found, indent=1))
        return
    print("methods (any representation+sampler is one too)")
    for method in found["methods"]:
        print(f"  {method['name']:<16} {method['about']}")
    print("latent samplers")
    for name in found["samplers"]:
        print(f"  {name:<16} {catalog.summary('samplers', name)}")
    for kind in ("representations", "datasets", "evaluators", "budgets", "tables"):
        print(f"{kind:<15}", *found[kind])


@command("method dataset budget data_dir plugins as_json")
def show(given: Options) -> None:
    """Say what a method is: its paper, its stages, networks and parameters, and every setting with its source."""
    from latent_ot.inventory import card, told

    found = card(given.request())
    print(json.dumps(found, indent=1) if given.as_json else told(found))


@command("data_dir store")
def doctor(given: Options) -> None:
    """Say what this machine has and, where something is missing, what to do."""
    from latent_ot.inventory import diagnosis

    for part, state in diagnosis(given.data_dir, given.store):
        print(f"{part:<24} {state}")


@command("data_dir verify")
def prepare(
    given: Options,
    dataset: Annotated[str, typer.Argument(help="A data set's name, or with --source a new one.")],
    source: Annotated[Path | None, typer.Option(help="Folder with the files as they were downloaded.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch the files if they are missing.")] = False,
) -> None:
    """Write a data set's prepared form (uint8 arrays, memory-mapped afterwards) under --data-dir."""
    from latent_ot.datasets.prepare import prepare as write

    print(write(dataset, source, given.data_dir, download, given.verify))


@command("data_dir seed")
def train_evaluator(
    given: Options,
    name: str,
    out: Annotated[Path | None, typer.Option(help="Folder of the weights; default: the package's own.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Train on this set instead of the one called NAME.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, max=MOST, help="Default: the recipe's.")] = None,
) -> None:
    """Train one of the suite's small feature networks on a data set's real training images."""
    from latent_ot.metrics.evaluators.train import train_evaluator as fit

    print(json.dumps(fit(name, given.data_dir, out, given.seed, dataset, epochs), indent=2))


@command(f"dataset budget seeds subset data_dir store leaderboards threads devices_per_run {WHERE} {TRACK}", budget="")
def table(
    given: Options,
    table_id: Annotated[str, typer.Argument(metavar="ID", help="e.g. gldo-table1")] = "",
    every: Annotated[bool, typer.Option("--all", help="All tables; with a data set, those that it stands in.")] = False,
    form: Annotated[str, typer.Option("--format", help="text, md, csv, latex or json.")] = "text",
    run: Annotated[bool, typer.Option("--run", help="First run what is missing, at budget ci unless told.")] = False,
    against: Annotated[
        Path | None, typer.Option(help="With --run: a file of intervals; only its rows run, and have to lie in them.")
    ] = None,
) -> None:
    """Print a published table beside our numbers, the published ones and those of the store."""
    from latent_ot.bench.currency import everything, stored
    from latent_ot.bench.trackers.base import Handed
    from latent_ot.published import load_table, table_names
    from latent_ot.report.tables import chosen, handed, render_published

    if every == bool(table_id) or (every and run):
        raise InputError(f"table: give one ID, or --all without --run; allowed: {', '.join(table_names())}")
    if against is not None and not run:
        raise InputError(f"--against '{against}' without --run; allowed: with it, since it judges what runs")
    ran, stopped, name, made = None, False, given.dataset or None, list[Mapping[str, Any]]()
    expected = expected_of(against, load_table(table_id), given) if against is not None else None
    with given.tracking() as tracking:
        if run:
            from latent_ot.bench.rerun import rerun

            spec = load_table(table_id) if expected is None else expected.only(load_table(table_id))
            given.budget = given.budget or "ci"
            asked = replace(given.request(), dataset=given.dataset)
            ran, stopped = rerun(spec, asked, functools.partial(print, file=sys.stderr), made.append, tracking)
            write_store_pages(given.store)
            name = next(iter(ran.values()), name) if given.dataset else None  # with a subset the set has another name
        # figures are judged as they were made: what is published beside them has no part in it
        records = everything(given.leaderboards, given.store) if expected is None else stored(given.store)
        shown = table_id or None, name, given.budget or None, records
        print(render_published(*shown, form, ran))
        if stopped:
            raise KeyboardInterrupt
        if tracking.kinds:
            tags = tuple(filter(None, (name, given.budget)))
            tables = (Handed(*one) for one in handed(chosen(*shown, ran)))
            tracking.hand("-".join(tags) or "published", table_id or "tables", tables, tags)
    met = expected is None or expected.met(load_table(table_id), made, numbers(given.seeds))
    conclude(False, [record["status"] for record in made] if (ran or not run) and met else ["failed"])


def expected_of(against: Path, spec: "PublishedTable", given: Options) -> "Expected":
    """Return the intervals in a file, and ask for the data set and the budget that they are of."""
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.report.expected import Expected

    expected = Expected.load(against, spec, given.dataset, given.budget)
    given.dataset, given.budget = expected.dataset, expected.budget
    benchmark = Benchmark(given.request())
    expected.refuse_others(benchmark.dataset.id, [protocol.id for protocol in benchmark.protocols])
    return expected


@command("as_json store leaderboards")
def claims(given: Options) -> None:
    """Check the papers' claims against the records: reproduced, not reproduced, inconclusive or not run."""
    from latent_ot.bench.currency import everything
    from latent_ot.report.claims import render_claims

    print(render_claims(everything(given.leaderboards, given.store), "json" if given.as_json else "text"))


@command("store leaderboards")
def leaderboard(
    given: Options,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a page is stale.")] = False,
) -> None:
    """Generate every page and figure under leaderboards/ from its results/."""
    from latent_ot.bench.currency import published
    from latent_ot.leaderboard import check as check_pages
    from latent_ot.leaderboard import stale, write

    if not check:
        check_pages(given.leaderboards)
    records = published(given.leaderboards, given.store)
    if check:
        old = stale(given.leaderboards, records)
        if old:
            raise InputError(f"stale: {', '.join(old)}; run `latent-ot leaderboard`")
    else:
        for path in write(given.leaderboards, records):
            print(path)


@command("store leaderboards out")
def page(given: Options) -> None:
    """Write a page to look at, over what is published and the store: tables to sort and filter, pictures, curves."""
    from latent_ot.bench.currency import everything
    from latent_ot.site import check, write

    out = given.out or Path("page")
    check(out)
    print(write(out, everything(given.leaderboards, given.store), given.leaderboards, given.store))


@command("dataset budget methods seeds store leaderboards", budget="", seeds="")
def publish(given: Options) -> None:
    """Copy records of the store into leaderboards/, those that agree with what is given, and make its pages anew."""
    from latent_ot.bench.currency import mark, stored
    from latent_ot.leaderboard import choose_records, refuse_damaged
    from latent_ot.leaderboard import publish as copy

    seeds = numbers(given.seeds) if given.seeds else []
    asked = given.dataset, given.budget, words(given.methods), seeds
    refuse_damaged(given.store, *asked)
    chosen = choose_records(stored(given.store), *asked)
    for path in copy(chosen, given.store, given.leaderboards, lambda records: mark(records, given.store / "cache")):
        print(path)


@command("store")
def prune(
    given: Options, yes: Annotated[bool, typer.Option("--yes", help="Do it without a question.")] = False
) -> None:
    """Remove from the store what no present plan refers to, after saying what that would free."""
    from latent_ot.bench.prune import remove, unreferred

    found = unreferred(given.store)
    for line in found.lines():
        print(line)
    if not found.items:
        return
    if not yes:
        if not is_terminal(sys.stdin):
            print("nothing is removed; --yes removes it", file=sys.stderr)
            return
        if not typer.confirm("remove it?"):
            return
    remove(found)


def main() -> None:
    """Run a command; what ends it early is one line, and always an exit code of ``EXIT_CODES``."""
    with ended():
        code = _code()
        deaf()  # what is done is done, and said once
        if code == EXIT:
            print(STOPPED, file=sys.stderr)
    sys.exit(code)


def _code() -> int:
    try:
        with streams():
            return _invoked()
    except StoreError as error:  # the disk that stdout leads to took no more
        print(f"latent-ot: {error}", file=sys.stderr)
        return 3


def _invoked() -> int:
    try:
        invoke(sys.argv[1:])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        return EXIT
    except (InputError, RunFailed, StoreError) as error:
        print(f"latent-ot: {error}", file=sys.stderr)
        return 1 if isinstance(error, RunFailed) else 2 if isinstance(error, InputError) else 3
    except OSError as error:  # no file of the suite's own, whose readers and writers say more
        print(f"latent-ot: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 3
    except Exception as error:
        if (place := blamed(error)) is None:
            raise
        print(f"latent-ot: {place}: {type(error).__name__}: {one_line(str(error))}", file=sys.stderr)
        return 2
    return 0


__all__ = ["app", "main"]

if __name__ == "__main__":
    main()
