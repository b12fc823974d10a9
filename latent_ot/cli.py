"""The ``latent-ot`` command: results on stdout, progress and errors on stderr; bad input is one line, exit code 2."""

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latent_ot.errors import InputError, StoreError, choose
from latent_ot.options import BENCH, ONE_RUN, WHERE, Options, app, command, numbers, words
from latent_ot.terminal import is_terminal

if TYPE_CHECKING:
    from latent_ot.bench.request import Request

STOPPED = "stopped; run the same command again to go on where it stopped"


@command(f"methods {BENCH} stop")
def bench(
    given: Options, track: Annotated[str | None, typer.Option(help="Log runs to a dashboard: wandb.")] = None
) -> None:
    """Train, evaluate and rank methods on one data set; finished work is reused, stopped work resumes."""
    from latent_ot.report.tables import print_bench

    if track is not None:
        choose("tracker", track, ["wandb"])
    finish(replace(given.request(), track=track), print_bench)


@command(BENCH)
def grid(
    given: Options,
    representations: Annotated[str, typer.Option(help="Names; default: all that take the data set.")] = "",
    samplers: Annotated[str, typer.Option(help="Names; default: all.")] = "",
) -> None:
    """Run every representation with every latent sampler; each is trained once, each sampler once on each."""
    from latent_ot.report.grid import print_grid

    finish(replace(given.request(), grid=(words(representations), words(samplers))), print_grid)


def finish(asked: "Request", show: Callable[..., None]) -> None:
    """Run a benchmark, write the store's pages, show its records and exit as its end calls for."""
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.finished import recall
    from latent_ot.record import DATA, checked

    records, stopped = recall(asked), False
    if records is None:
        made, stopped = Benchmark(asked).execute()
        records = [checked(record) for record in made]
    write_store_pages(asked.store)
    show(records)
    if stopped:
        print(STOPPED, file=sys.stderr)
        raise typer.Exit(130)
    if all(record.status != "done" for record in records if record.method != DATA):
        raise typer.Exit(1)


def write_store_pages(store: Path) -> None:
    """Bring the pages over the store's own records up to date; the same records and code need no second drawing."""
    from latent_ot.bench.currency import fingerprint, stored
    from latent_ot.files import write_atomic

    records, memory = stored(store), store / "cache" / "pages"
    made_from = fingerprint(records)
    if (store / "README.md").exists() and memory.exists() and memory.read_bytes() == made_from:
        return
    from latent_ot.leaderboard import write

    write(store, records)
    write_atomic(memory, made_from)


@command(f"{ONE_RUN} stop")
def train(given: Options) -> None:
    """Train one method's stages, without scoring it."""
    for folder in given.benchmark().train_only(given.method, given.seed):
        print(folder)


@command(f"{ONE_RUN} as_json")
def evaluate(given: Options) -> None:
    """Score one method (training it first if need be) and print its metrics; writes no leaderboard."""
    benchmark = given.benchmark()
    records, stopped = benchmark.score([benchmark.planned(given.method, given.seed)])
    if stopped:
        raise typer.Exit(130)
    record = records[0]
    if given.as_json:
        print(json.dumps(record, indent=1, sort_keys=True))
    elif record["status"] != "done":
        raise InputError(f"{given.method}: {record['status']}: {record['reason']}")
    else:
        for name, value in sorted(record["metrics"].items()):
            print(f"{name:<16} {value:.6g}")


@command(f"{ONE_RUN} out")
def sample(given: Options, n: Annotated[int, typer.Option(min=1, help="How many.")] = 64) -> None:
    """Draw from a trained method into a picture (2-D sets: a scatter plot)."""
    from latent_ot.bench import pictures

    out = given.out or Path("samples.png")
    pictures.sample(given.benchmark(), given.method, given.seed, n, out)
    print(out)


@command(f"{ONE_RUN} out")
def reconstruct(
    given: Options,
    n: Annotated[int, typer.Option(min=1, help="How many held-out images.")] = 16,
    steps: Annotated[int, typer.Option(min=1, help="Adam steps where codes are found by optimisation.")] = 200,
) -> None:
    """Reconstruct held-out images: originals above, reconstructions below."""
    from latent_ot.bench import pictures

    out = given.out or Path("reconstructions.png")
    print(f"{pictures.reconstruct(given.benchmark(), given.method, given.seed, n, steps, out):.2f} dB")
    print(out)


@command(f"{ONE_RUN} out")
def interpolate(
    given: Options,
    rows: Annotated[int, typer.Option(min=1, help="Pairs of drawn codes.")] = 8,
    steps: Annotated[int, typer.Option(min=2, help="Images from one code to the other.")] = 10,
) -> None:
    """Walk between drawn codes in straight lines (GLO: projected to the sphere), one pair a row."""
    from latent_ot.bench import pictures

    out = given.out or Path("interpolations.png")
    pictures.interpolate(given.benchmark(), given.method, given.seed, rows, steps, out)
    print(out)


@command(f"{ONE_RUN} out as_json")
def quality(
    given: Options,
    images: Annotated[Path, typer.Option(help="Folder of the images to score, of any size and format.")],
    n: Annotated[int, typer.Option(min=1, help="How many of the best and of the worst to draw.")] = 16,
    level: Annotated[
        float, typer.Option(help="Share of held-out images that the highest density region is to leave outside.")
    ] = 0.05,
) -> None:
    """Score images by how well a trained method with an encoder knows them: best above, worst below; name outliers."""
    from latent_ot.bench import quality as scoring
    from latent_ot.report.quality import quality_grid
    from latent_ot.report.text import show

    out = given.out or Path("quality.png")
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


@command("data_dir")
def doctor(given: Options) -> None:
    """Say what this machine has and, where something is missing, what to do."""
    from latent_ot.inventory import diagnosis

    for part, state in diagnosis(given.data_dir):
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
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the recipe's.")] = None,
) -> None:
    """Train one of the suite's small feature networks on a data set's real training images."""
    from latent_ot.metrics.evaluators.train import train_evaluator as fit

    print(json.dumps(fit(name, given.data_dir, out, given.seed, dataset, epochs), indent=2))


@command(f"dataset budget seeds subset data_dir store leaderboards threads {WHERE}", budget="")
def table(
    given: Options,
    table_id: Annotated[str, typer.Argument(metavar="ID", help="e.g. gldo-table1")] = "",
    every: Annotated[bool, typer.Option("--all", help="All tables; with a data set, those that it stands in.")] = False,
    form: Annotated[str, typer.Option("--format", help="text, md, csv, latex or json.")] = "text",
    run: Annotated[bool, typer.Option("--run", help="First run what is missing, at budget ci unless told.")] = False,
) -> None:
    """Print a published table beside our numbers, the published ones and those of the store."""
    from latent_ot.bench.currency import everything
    from latent_ot.published import load_table, table_names
    from latent_ot.report.tables import render_published

    if every == bool(table_id) or (every and run):
        raise InputError(f"table: give one ID, or --all without --run; allowed: {', '.join(table_names())}")
    ran, stopped, name = None, False, given.dataset or None
    if run:
        from latent_ot.bench.rerun import rerun

        given.budget = given.budget or "ci"
        asked = replace(given.request(), dataset=given.dataset)
        ran, stopped = rerun(load_table(table_id), asked, functools.partial(print, file=sys.stderr))
        write_store_pages(given.store)
        name = next(iter(ran.values()), name) if given.dataset else None  # with a subset the set has another name
    records = everything(given.leaderboards, given.store)
    print(render_published(table_id or None, name, given.budget or None, records, form, ran))
    if stopped:
        print(STOPPED, file=sys.stderr)
        raise typer.Exit(130)
    if run and not ran:
        raise typer.Exit(1)


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
    from latent_ot.leaderboard import stale, write

    records = published(given.leaderboards, given.store)
    if check:
        old = stale(given.leaderboards, records)
        if old:
            raise InputError(f"stale: {', '.join(old)}; run `latent-ot leaderboard`")
    else:
        for path in write(given.leaderboards, records):
            print(path)


@command("dataset budget methods seeds store leaderboards", budget="", seeds="")
def publish(given: Options) -> None:
    """Copy records of the store into leaderboards/, those that agree with what is given, and make its pages anew."""
    from latent_ot.bench.currency import mark, stored
    from latent_ot.leaderboard import choose_records
    from latent_ot.leaderboard import publish as copy

    seeds = numbers(given.seeds) if given.seeds else []
    chosen = choose_records(stored(given.store), given.dataset, given.budget, words(given.methods), seeds)
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
        typer.confirm("remove it?", abort=True)
    remove(found)


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except InputError as error:
        print(f"latent-ot: {error}", file=sys.stderr)
        sys.exit(2)
    except StoreError as error:
        print(f"latent-ot: {error}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
