"""The options of the command line, each declared once, and commands that take some of them."""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer import Option

from latent_ot.errors import InputError, choose

if TYPE_CHECKING:
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.request import Request

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Latent-space, optimal-transport and non-adversarial generative models against GANs and VAEs.",
)


@dataclass(kw_only=True)
class Options:
    """What the options of a command say; a command that does not take one has its default."""

    method: Annotated[str, typer.Argument(help="A method's name, or representation+sampler.")] = ""
    dataset: Annotated[str, Option(help="Data set id (see `latent-ot list`), or folder:PATH for your own images.")] = ""
    methods: Annotated[str, Option(help="Names, representation+sampler, or all; default: the suite's eight.")] = ""
    seeds: Annotated[str, Option(help="Seeds, e.g. '0 1 2'.")] = "0"
    seed: Annotated[int, Option(help="Seed of the run.")] = 0
    budget: Annotated[str, Option(help="ci, short, paper or another (benchmarks/budgets.yaml).")] = "ci"
    subset: Annotated[int | None, Option(help="Train on this many images of the set.")] = None
    data_dir: Annotated[Path, Option(envvar="LATENT_OT_DATA", help="Where data sets lie.")] = Path("data")
    store: Annotated[Path, Option(help="Where trained stages, their records and pages live.")] = Path("runs")
    leaderboards: Annotated[Path, Option(help="Where published records and their pages lie.")] = Path("leaderboards")
    settings: Annotated[list[str] | None, Option("--set", help="A setting, NAME.KEY=VALUE, e.g. gldo.eps=0.3.")] = None
    plugins: Annotated[list[Path] | None, Option("--plugin", help="A Python file with a part of your own.")] = None
    evaluator: Annotated[str | None, Option(help="Feature network; default: the data set's own.")] = None
    inception_weights: Annotated[Path | None, Option(help="Local file of the Inception weights.")] = None
    gpus: Annotated[int | None, Option(help="GPUs to use; default: all of this machine, 0: the CPU.")] = None
    workers: Annotated[int | None, Option(help="Stages at once; default: one per GPU, or per CPU core.")] = None
    threads: Annotated[int, Option(min=1, help="CPU threads of each stage; other results than with 1.")] = 1
    force: Annotated[list[str] | None, Option(help="Make again what is done: a method, or one of its parts.")] = None
    verify: Annotated[bool, Option("--verify", help="Hash data again, though their files look as they were.")] = False
    stop: Annotated[str | None, Option(help="End training early: duality-gap (iwgan); its tolerance is a setting.")] = (
        None
    )
    out: Annotated[Path | None, Option(help="The picture to write (PNG).")] = None
    as_json: Annotated[bool, Option("--json", help="Machine-readable.")] = False

    def request(self, methods: "list[str] | None" = None) -> "Request":
        """Return what is asked of a benchmark: of the method or the methods, at the seed or the seeds."""
        from latent_ot.bench.plan import parse_overrides
        from latent_ot.bench.request import Request
        from latent_ot.budgets import settings

        one = [self.method] if self.method else words(self.methods)
        return Request(
            self.dataset or settings()["defaults"]["dataset"],
            one if methods is None else methods,
            [self.seed] if self.method else numbers(self.seeds),
            self.budget,
            self.data_dir,
            self.store,
            self.subset,
            parse_overrides(self.settings or []),
            self.plugins or [],
            self.evaluator,
            self.inception_weights,
            self.gpus,
            self.workers,
            self.threads,
            words(" ".join(self.force or [])),
            self.verify,
            stop=None if self.stop is None else choose("stopping rule", self.stop, ["duality-gap"]).replace("-", "_"),
        )

    def benchmark(self) -> "Benchmark":
        """Return the benchmark of one method at one seed."""
        from latent_ot.bench.benchmark import Benchmark

        return Benchmark(self.request())


RUN = "dataset budget subset data_dir store settings plugins threads force verify"
ONE_RUN = f"method seed {RUN}"
WHERE = "evaluator inception_weights gpus workers"
BENCH = f"{RUN} seeds {WHERE}"


def command(names: str = "", **defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes a command of ``function(options, ...)``.

    ``names``: the options that it takes beside those that stand among its own arguments; ``defaults``: of some of them,
    where they are not those of ``Options``.
    """
    known, hints = {f.name: f for f in fields(Options)}, get_type_hints(Options, include_extras=True)

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function).parameters.values())[1:]
        chosen = names.split()

        @functools.wraps(function)
        def run(**given: Any) -> None:
            function(Options(**{name: given.pop(name) for name in chosen}), **given)

        def parameter(name: str) -> inspect.Parameter:
            default = inspect.Parameter.empty if name == "method" else defaults.get(name, known[name].default)
            return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])

        hinted = get_type_hints(function, include_extras=True)
        kept = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hinted[p.name]) for p in own]
        parameters = [*map(parameter, chosen), *kept]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer makes options from
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return app.command(function.__name__.rstrip("_").replace("_", "-"))(run)

    return decorate


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
