"""The ``latent-ot`` command: results on stdout, progress and errors on stderr; bad input is one line, exit code 2."""

import functools
import inspect
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latent_ot.errors import InputError, StoreError, choose

if TYPE_CHECKING:
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.request import Request

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Latent-space, optimal-transport and non-adversarial generative models against GANs and VAEs.",
)

Dataset = Annotated[str, typer.Option(help="Data set id (see `latent-ot list`), or folder:PATH for your own images.")]
Methods = Annotated[str, typer.Option(help="Method names, or representation+sampler; default: the suite's eight.")]
Seeds = Annotated[str, typer.Option(help="Seeds, e.g. '0 1 2'.")]
Seed = Annotated[int, typer.Option(help="Seed of the run.")]
BudgetName = Annotated[str, typer.Option(help="ci, short or paper (benchmarks/budgets.yaml).")]
Subset = Annotated[int | None, typer.Option(help="Train on this many images of the set.")]
DataDir = Annotated[Path, typer.Option(envvar="LATENT_OT_DATA", help="Where data sets lie.")]
StoreDir = Annotated[Path, typer.Option("--store", help="Where trained stages, their records and pages live.")]
Boards = Annotated[Path, typer.Option("--leaderboards", help="Where published records and their pages lie.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting, NAME.KEY=VALUE, e.g. gldo.eps=0.3.")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="A Python file with your own method or sampler.")]
EvaluatorName = Annotated[str | None, typer.Option(help="Feature network; default: the data set's own.")]
Weights = Annotated[Path | None, typer.Option("--inception-weights", help="Local file of the Inception weights.")]
Gpus = Annotated[int | None, typer.Option(help="GPUs to use; default: all of this machine, 0: the CPU.")]
Workers = Annotated[int | None, typer.Option(help="Stages at once; default: one per GPU, or per CPU core.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads of each stage; other results than with 1.")]
Force = Annotated[list[str] | None, typer.Option(help="Make again what is done: a method, or one of its parts.")]
Verify = Annotated[bool, typer.Option("--verify", help="Hash data again, though their files look as they were.")]
Out = Annotated[Path, typer.Option(help="The picture to write (PNG).")]
Stop = Annotated[str | None, typer.Option(help="End training early: duality-gap (iwgan); its tolerances are settings.")]
DEFAULT_DATA, DEFAULT_STORE, DEFAULT_BOARDS = Path("data"), Path("runs"), Path("leaderboards")


def words(text: str) -> list[str]:
    """Split a list given with spaces or commas."""
    return [word for word in re.split(r"[\s,]+", text) if word]


def numbers(text: str) -> list[int]:
    """Read seeds.

    Raises:
        InputError: for anything but whole numbers of at least zero.
    """
    bad = next((word for word in words(text) if not word.isdigit()), None)
    if bad is not None or not words(text):
        raise InputError(f"seeds '{bad or text}': allowed: whole numbers from 0, e.g. '0 1 2'")
    return [int(word) for word in words(text)]


def default_dataset(name: str) -> str:
    """Return the data set asked for, or the suite's default."""
    from latent_ot.budgets import settings

    return name or settings()["defaults"]["dataset"]


def sharing(build: Callable[..., tuple[Any, ...]], built: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes a command of ``command(*build(…), …)``: it takes ``build``'s options and its own.

    ``built``: how many of the command's arguments come from ``build``.
    """
    shared = inspect.signature(build).parameters

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command).parameters.values())[built:]

        @functools.wraps(command)
        def run(**options: Any) -> None:
            named = {name: options.pop(name) for name in shared}
            command(*build(**named), **options)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*shared.values(), *own)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer makes options from
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return app.command()(run)

    return decorate


def request(
    dataset: Dataset = "",
    seeds: Seeds = "0",
    budget: BudgetName = "ci",
    subset: Subset = None,
    data_dir: DataDir = DEFAULT_DATA,
    store: StoreDir = DEFAULT_STORE,
    settings: Settings = None,
    plugins: Plugins = None,
    evaluator: EvaluatorName = None,
    inception_weights: Weights = None,
    gpus: Gpus = None,
    workers: Workers = None,
    threads: Threads = 1,
    force: Force = None,
    verify: Verify = False,
) -> tuple["Request"]:
    """Return what was asked for, without its methods."""
    from latent_ot.bench.plan import parse_overrides
    from latent_ot.bench.request import Request

    return (
        Request(
            default_dataset(dataset), [], numbers(seeds), budget, data_dir, store, subset,
            parse_overrides(settings or []), plugins or [], evaluator, inception_weights, gpus, workers,
            threads, words(" ".join(force or [])), verify,
        ),
    )  # fmt: skip


@sharing(request, 1)
def bench(
    asked: "Request",
    methods: Methods = "",
    track: Annotated[str | None, typer.Option(help="Log runs to a dashboard: wandb.")] = None,
    stop: Stop = None,
) -> None:
    """Train, evaluate and rank methods on one data set; finished work is reused, stopped work resumes."""
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.report.tables import print_bench

    if track is not None:
        choose("tracker", track, ["wandb"])
    asked = replace(asked, methods=words(methods), track=track)
    finish(asked if stop is None else until(stop, Benchmark(asked)).request, print_bench)


@sharing(request, 1)
def grid(
    asked: "Request",
    representations: Annotated[str, typer.Option(help="Names; default: all that take the data set.")] = "",
    samplers: Annotated[str, typer.Option(help="Names; default: all.")] = "",
) -> None:
    """Run every representation with every latent sampler; each is trained once, each sampler once on each."""
    from latent_ot.report.grid import print_grid

    finish(replace(asked, grid=(words(representations), words(samplers))), print_grid)


def until(stop: str | None, benchmark: "Benchmark") -> "Benchmark":
    """Return the benchmark with a stopping rule as the setting ``stop`` of every method that has one.

    Raises:
        InputError: for an unknown rule, or if no planned method has one.
    """
    if stop is None:
        return benchmark
    rule = choose("stopping rule", stop, ["duality-gap"]).replace("-", "_")
    catalog, request = benchmark.catalog, benchmark.request
    first = {catalog.recipe(method, benchmark.dataset.kind).parts[0] for method in benchmark.methods}
    able = [name for name in sorted(first) if "stop" in catalog.stage("methods", name).Config.model_fields]
    if not able:
        raise InputError(f"--stop {stop}: none of {', '.join(benchmark.methods)} has a stopping rule; iwgan has one")
    rules = {name: {**request.overrides.get(name, {}), "stop": rule} for name in able}
    return type(benchmark)(replace(request, overrides={**request.overrides, **rules}))


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
        print("stopped; run the same command again to go on where it stopped", file=sys.stderr)
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
    from latent_ot.report.page import write

    write(store, records)
    write_atomic(memory, made_from)


def one_run(
    method: str,
    dataset: Dataset = "",
    seed: Seed = 0,
    budget: BudgetName = "ci",
    subset: Subset = None,
    data_dir: DataDir = DEFAULT_DATA,
    store: StoreDir = DEFAULT_STORE,
    settings: Settings = None,
    plugins: Plugins = None,
    threads: Threads = 1,
    force: Force = None,
    verify: Verify = False,
) -> tuple["Benchmark", str, int]:
    """Return the benchmark of one method at one seed, and both."""
    from latent_ot.bench.benchmark import Benchmark

    (asked,) = request(
        dataset, str(seed), budget, subset, data_dir, store, settings, plugins,
        threads=threads, force=force, verify=verify,
    )  # fmt: skip
    return Benchmark(replace(asked, methods=[method])), method, seed


on_one_run = sharing(one_run, 3)


@on_one_run
def train(benchmark: "Benchmark", method: str, seed: int, stop: Stop = None) -> None:
    """Train one method's stages, without scoring it."""
    for folder in until(stop, benchmark).train_only(method, seed):
        print(folder)


@on_one_run
def evaluate(
    benchmark: "Benchmark",
    method: str,
    seed: int,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole record.")] = False,
) -> None:
    """Score one method (training it first if need be) and print its metrics; writes no leaderboard."""
    import json

    records, stopped = benchmark.score([benchmark.planner.run(method, seed)])
    if stopped:
        raise typer.Exit(130)
    record = records[0]
    if as_json:
        print(json.dumps(record, indent=1, sort_keys=True))
    elif record["status"] != "done":
        raise InputError(f"{method}: {record['status']}: {record['reason']}")
    else:
        for name, value in sorted(record["metrics"].items()):
            print(f"{name:<16} {value:.6g}")


@on_one_run
def sample(
    benchmark: "Benchmark",
    method: str,
    seed: int,
    n: Annotated[int, typer.Option(min=1, help="How many.")] = 64,
    out: Out = Path("samples.png"),
) -> None:
    """Draw from a trained method into a picture (2-D sets: a scatter plot)."""
    from latent_ot.bench import pictures

    pictures.sample(benchmark, method, seed, n, out)
    print(out)


@on_one_run
def reconstruct(
    benchmark: "Benchmark",
    method: str,
    seed: int,
    n: Annotated[int, typer.Option(min=1, help="How many held-out images.")] = 16,
    steps: Annotated[int, typer.Option(min=1, help="Adam steps where codes are found by optimisation.")] = 200,
    out: Out = Path("reconstructions.png"),
) -> None:
    """Reconstruct held-out images: originals above, reconstructions below."""
    from latent_ot.bench import pictures

    print(f"{pictures.reconstruct(benchmark, method, seed, n, steps, out):.2f} dB")
    print(out)


@on_one_run
def interpolate(
    benchmark: "Benchmark",
    method: str,
    seed: int,
    rows: Annotated[int, typer.Option(min=1, help="Pairs of drawn codes.")] = 8,
    steps: Annotated[int, typer.Option(min=2, help="Images from one code to the other.")] = 10,
    out: Out = Path("interpolations.png"),
) -> None:
    """Walk between drawn codes in straight lines (GLO: projected to the sphere), one pair a row."""
    from latent_ot.bench import pictures

    pictures.interpolate(benchmark, method, seed, rows, steps, out)
    print(out)


@on_one_run
def quality(
    benchmark: "Benchmark",
    method: str,
    seed: int,
    images: Annotated[Path, typer.Option(help="Folder of the images to score, of any size and format.")],
    n: Annotated[int, typer.Option(min=1, help="How many of the best and of the worst to draw.")] = 16,
    level: Annotated[
        float, typer.Option(help="Share of the training images outside the highest density region.")
    ] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    out: Out = Path("quality.png"),
) -> None:
    """Score images by how well a trained method with an encoder knows them: best above, worst below; name outliers."""
    from latent_ot.bench import quality as scoring
    from latent_ot.report.quality import quality_grid
    from latent_ot.report.text import show

    report = scoring.quality(benchmark, method, seed, images, n, level, out)
    if as_json:
        print(json.dumps(report.data(), indent=1))
    else:
        show([quality_grid(report)])
        print(out)


@app.command("list")
def list_(
    plugins: Plugins = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List methods, latent samplers, data sets, evaluators, budgets and published tables."""
    from latent_ot.catalog import Catalog
    from latent_ot.inventory import inventory

    catalog = Catalog(plugins or [])
    found = inventory(catalog)
    if as_json:
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


@app.command()
def doctor(data_dir: DataDir = DEFAULT_DATA) -> None:
    """Say what this machine has and, where something is missing, what to do."""
    from latent_ot.inventory import diagnosis

    for part, state in diagnosis(data_dir):
        print(f"{part:<24} {state}")


@app.command()
def prepare(
    dataset: str,
    source: Annotated[Path | None, typer.Option(help="Folder with the files as they were downloaded.")] = None,
    data_dir: DataDir = DEFAULT_DATA,
    download: Annotated[bool, typer.Option("--download", help="Fetch the files if they are missing.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read all files again, even if unchanged.")] = False,
) -> None:
    """Write a data set's prepared form (uint8 arrays, memory-mapped afterwards) under --data-dir."""
    from latent_ot.datasets.prepare import prepare as write

    print(write(dataset, source, data_dir, download, verify))


@app.command("train-evaluator")
def train_evaluator(
    name: str,
    data_dir: DataDir = DEFAULT_DATA,
    out: Annotated[Path | None, typer.Option(help="Folder of the weights; default: the package's own.")] = None,
    seed: Seed = 0,
    dataset: Annotated[str | None, typer.Option(help="Train on this set instead of the one called NAME.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the recipe's.")] = None,
) -> None:
    """Train one of the suite's small feature networks on a data set's real training images."""
    from latent_ot.metrics.evaluators.train import train_evaluator as fit

    print(json.dumps(fit(name, data_dir, out, seed, dataset, epochs), indent=2))


@app.command()
def table(
    table_id: Annotated[str, typer.Argument(metavar="ID", help="e.g. gldo-table1")] = "",
    every: Annotated[bool, typer.Option("--all", help="All tables; with a data set, those that it stands in.")] = False,
    dataset: Dataset = "",
    budget: Annotated[str, typer.Option(help="Of our runs; default: ci, or the largest that was run.")] = "",
    form: Annotated[str, typer.Option("--format", help="text, md, csv, latex or json.")] = "text",
    run: Annotated[bool, typer.Option("--run", help="First run what is missing; the options below say how.")] = False,
    seeds: Seeds = "0",
    subset: Subset = None,
    data_dir: DataDir = DEFAULT_DATA,
    store: StoreDir = DEFAULT_STORE,
    leaderboards: Boards = DEFAULT_BOARDS,
    evaluator: EvaluatorName = None,
    inception_weights: Weights = None,
    gpus: Gpus = None,
    workers: Workers = None,
    threads: Threads = 1,
) -> None:
    """Print a published table beside our numbers, the published ones and those of the store."""
    from latent_ot.bench.currency import everything
    from latent_ot.published import load_table, table_names
    from latent_ot.report.tables import render_published

    if every == bool(table_id) or (every and run):
        raise InputError(f"table: give one ID, or --all without --run; allowed: {', '.join(table_names())}")
    ran, stopped, name = None, False, dataset or None
    if run:
        from latent_ot.bench.request import Request
        from latent_ot.bench.rerun import rerun

        spec, budget = load_table(table_id), budget or "ci"
        request = Request(
            dataset, [], numbers(seeds), budget, data_dir, store, subset,
            evaluator=evaluator, weights=inception_weights, gpus=gpus, workers=workers, threads=threads,
        )  # fmt: skip
        ran, stopped = rerun(spec, request, functools.partial(print, file=sys.stderr))
        write_store_pages(store)
        name = next(iter(ran.values()), name) if dataset else None  # with a subset the data set has another name
    print(render_published(table_id or None, name, budget or None, everything(leaderboards, store), form, ran))
    if stopped:
        print("stopped; run the same command again to go on where it stopped", file=sys.stderr)
        raise typer.Exit(130)
    if run and not ran:
        raise typer.Exit(1)


@app.command()
def claims(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable verdicts.")] = False,
    store: StoreDir = DEFAULT_STORE,
    leaderboards: Boards = DEFAULT_BOARDS,
) -> None:
    """Check the papers' claims against the records: reproduced, not reproduced, inconclusive or not run."""
    from latent_ot.bench.currency import everything
    from latent_ot.report.claims import render_claims

    print(render_claims(everything(leaderboards, store), "json" if as_json else "text"))


@app.command()
def leaderboard(
    store: StoreDir = DEFAULT_STORE,
    leaderboards: Boards = DEFAULT_BOARDS,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a page is stale.")] = False,
) -> None:
    """Generate every page and figure under leaderboards/ from its results/."""
    from latent_ot.bench.currency import published
    from latent_ot.report.page import stale, write

    records = published(leaderboards, store)
    if check:
        old = stale(leaderboards, records)
        if old:
            raise InputError(f"stale: {', '.join(old)}; run `latent-ot leaderboard`")
    else:
        for path in write(leaderboards, records):
            print(path)


@app.command()
def publish(
    dataset: Annotated[str, typer.Option(help="Of this data set alone, by the id in its records.")] = "",
    budget: Annotated[str, typer.Option(help="Of this budget alone.")] = "",
    methods: Annotated[str, typer.Option(help="Of these methods alone, by their names in tables.")] = "",
    seeds: Annotated[str, typer.Option(help="Of these seeds alone.")] = "",
    store: StoreDir = DEFAULT_STORE,
    leaderboards: Boards = DEFAULT_BOARDS,
) -> None:
    """Copy records of the store into leaderboards/ and bring its pages up to date."""
    from latent_ot.bench.currency import mark, stored
    from latent_ot.report.publish import choose_records
    from latent_ot.report.publish import publish as copy

    chosen = choose_records(stored(store), dataset, budget, words(methods), numbers(seeds) if seeds else [])
    for path in copy(chosen, store, leaderboards, lambda records: mark(records, store / "cache")):
        print(path)


@app.command()
def prune(
    store: StoreDir = DEFAULT_STORE,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without a question.")] = False,
) -> None:
    """Remove from the store what no present plan refers to, after saying what that would free."""
    from latent_ot.bench.prune import remove, unreferred

    found = unreferred(store)
    for line in found.lines():
        print(line)
    if not found.items:
        return
    if not yes:
        if not sys.stdin.isatty():
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
