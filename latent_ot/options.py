"""The options of the command line, each declared once, and commands that take some of them."""

import functools
import inspect
import itertools
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer
from typer import Option

from latent_ot.bench.request import SEEDS
from latent_ot.errors import EXIT_CODES, InputError, choose
from latent_ot.files import home
from latent_ot.metrics.evaluators.at_hand import INCEPTION

if TYPE_CHECKING:
    from latent_ot.bench.benchmark import Benchmark
    from latent_ot.bench.request import Request
    from latent_ot.bench.tracking import Tracking

T = TypeVar("T")
BEGAN = time.monotonic()  # the command, as far as anyone can tell
USAGE: Any = typer.BadParameter.__base__  # of all mistakes in a command line, which typer does not export
ENDS = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Latent-space, optimal-transport and non-adversarial generative models against GANs and VAEs.",
    epilog=ENDS,
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
    evaluator: Annotated[
        list[str] | None, Option(help="Feature network, or several, a record each; default: the data set's own.")
    ] = None
    weights: Annotated[
        list[str] | None, Option(help="A file of the evaluator's weights; of one of several NAME=FILE.")
    ] = None
    inception_weights: Annotated[Path | None, Option(help="Short for --weights inception=FILE.")] = None
    gpus: Annotated[int | None, Option(help="GPUs to use; default: all of this machine, 0: the CPU.")] = None
    workers: Annotated[int | None, Option(help="Stages at once; default: one per GPU, or per CPU core.")] = None
    threads: Annotated[int, Option(help="CPU threads of each stage; other results than with 1.")] = 1
    devices_per_run: Annotated[
        int, Option(help="GPUs (with --gpus 0: CPU processes) that train each run; other results than with 1.")
    ] = 1
    force: Annotated[list[str] | None, Option(help="Make again what is done: a method, or one of its parts.")] = None
    verify: Annotated[bool, Option("--verify", help="Hash data again, though their files look as they were.")] = False
    stop: Annotated[str | None, Option(help="End training early: duality-gap (iwgan); its tolerance is a setting.")] = (
        None
    )
    runs_per_device: Annotated[
        int | None,
        Option(help="Stages at once on each GPU; default: as many as memory and cores admit."),
    ] = None
    precision: Annotated[
        str, Option(help="Of training: float32, or bf16 where a method is trained by steps; other results.")
    ] = "float32"
    out: Annotated[
        Path | None, Option(help="The picture to write (PNG); samples: also .npz, .npy, a folder; page: its folder.")
    ] = None
    as_json: Annotated[bool, Option("--json", help="Machine-readable.")] = False
    track: Annotated[
        list[str] | None, Option(help="Tell a dashboard, or several, while it trains: wandb, tensorboard, csv.")
    ] = None
    wandb_project: Annotated[
        str | None, Option(help="W&B's project; default: that of WANDB_PROJECT, else latent_ot.")
    ] = None
    wandb_entity: Annotated[str | None, Option(help="W&B's user or team; default: that of WANDB_ENTITY.")] = None
    time_limit: Annotated[
        str | None, Option(help="Stop whole after so long, e.g. 50m or 1h30m; the same command goes on.")
    ] = None
    executor: Annotated[str, Option(help="Where stages run: local (this machine), or ray (a cluster).")] = "local"
    address: Annotated[
        str | None,
        Option(envvar="RAY_ADDRESS", help="Ray's head, host:port or auto; default: a cluster on this machine alone."),
    ] = None
    gpu_share: Annotated[float, Option(help="Of a GPU that a training takes on a cluster, e.g. 0.25.")] = 1.0
    scoring_gpu_share: Annotated[float, Option(help="The same of scoring; 0: it takes CPU cores alone.")] = 0.0
    exit_when_busy: Annotated[
        bool, Option("--exit-when-busy", help="End when nothing is left but what other commands work on.")
    ] = False

    def request(self, methods: "list[str] | None" = None) -> "Request":
        """Return what is asked of a benchmark: of the method or the methods, at the seed or the seeds."""
        from latent_ot.bench.request import Request
        from latent_ot.bench.settings import parse_overrides
        from latent_ot.budgets import settings

        evaluators = words(" ".join(self.evaluator or []))
        one = [self.method] if self.method else once("method", words(self.methods))
        return Request(
            self.dataset or settings()["defaults"]["dataset"],
            one if methods is None else methods,
            [self.seed] if self.method else once("seed", numbers(self.seeds)),
            self.budget,
            self.data_dir,
            self.store,
            self.subset,
            parse_overrides(self.settings or []),
            self.plugins or [],
            evaluators,
            self._weights(evaluators),
            self.gpus,
            self.workers,
            self.threads,
            words(" ".join(self.force or [])),
            self.verify,
            devices_per_run=self.devices_per_run,
            executor=self.executor,
            address=self.address if self.executor == "ray" or not os.environ.get("RAY_ADDRESS") else None,
            gpu_share=self.gpu_share,
            scoring_gpu_share=self.scoring_gpu_share,
            exit_when_busy=self.exit_when_busy,
            track=words(" ".join(self.track or [])),
            deadline=None if self.time_limit is None else BEGAN + duration(self.time_limit),
            runs_per_device=self.runs_per_device,
            precision=choose("precision", self.precision, ["float32", "bf16"]),
            stop=None if self.stop is None else choose("stopping rule", self.stop, ["duality-gap"]).replace("-", "_"),
        )

    def _weights(self, evaluators: Sequence[str]) -> dict[str, Path]:
        """Return evaluator -> file of its weights; the empty name stands for the only one."""
        found: dict[str, Path] = {}
        for text in self.weights or []:
            name, path = re.findall(r"\A(?:([\w-]+)=)?(.*)\Z", text, re.DOTALL)[0]
            if found.setdefault(name, home(Path(path))) != home(Path(path)):
                raise InputError(f"weights '{text}': there is another file; allowed: one of each evaluator")
        if self.inception_weights is not None:
            other = evaluators and INCEPTION.evaluator not in evaluators  # once its only name
            found["" if other else INCEPTION.evaluator] = self.inception_weights
        return found

    def benchmark(self, tracking: "Tracking | None" = None) -> "Benchmark":
        """Return the benchmark of one method at one seed; an evaluator that was asked for is there."""
        from latent_ot.bench.benchmark import Benchmark

        found = Benchmark(asked := self.request(), tracking)
        if asked.evaluators or asked.weights:
            _ = found.protocols
        return found

    def tracking(self) -> "Tracking":
        """Return the dashboards that are to be told, which are looked at before any work."""
        from latent_ot.bench.tracking import Tracking

        where = {"project": self.wandb_project, "entity": self.wandb_entity}
        return Tracking(words(" ".join(self.track or [])), self.store, where)


def invoke(given: Sequence[str]) -> None:
    """Run the command that was given, as words, and exit as it calls for.

    Raises:
        InputError: for an option that there is not, or a value that is not of its type, in one line.
    """
    try:  # not by calling the app, which has boxes for mistakes and exit codes of its own
        parser = typer.main.get_command(app)
        with parser.make_context("latent-ot", [*given] or ["--help"]) as context:
            parser.invoke(context)
        sys.stdout.flush()
        sys.exit(0)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except typer.Abort:  # a question that was answered by no
        raise KeyboardInterrupt from None
    except USAGE as error:
        where = error.ctx.command_path if error.ctx else "latent-ot"
        names = getattr(getattr(error, "param", None), "opts", [])
        split = [part for word in given for part in word.split("=", 1)]  # --n 0 and --n=0
        value = next((f" (given: '{b}')" for a, b in itertools.pairwise(split) if a in names), "")
        raise InputError(f"{error.format_message().rstrip('.')}{value}; see `{where} --help`") from None


RUN = "dataset budget subset data_dir store settings plugins threads devices_per_run precision force verify"
SCORED = "evaluator weights inception_weights"
WHERE = f"{SCORED} gpus workers runs_per_device"
ONE_RUN = f"method seed {RUN} {WHERE}"
TRACK = "track wandb_project wandb_entity time_limit executor address gpu_share scoring_gpu_share exit_when_busy"
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
            given = {name: _home(value) for name, value in given.items()}
            function(Options(**{name: given.pop(name) for name in chosen}), **given)

        def parameter(name: str) -> inspect.Parameter:
            default = inspect.Parameter.empty if name == "method" else defaults.get(name, known[name].default)
            return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])

        hinted = get_type_hints(function, include_extras=True)
        kept = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hinted[p.name]) for p in own]
        parameters = [*map(parameter, chosen), *kept]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer makes options from
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return app.command(function.__name__.rstrip("_").replace("_", "-"), epilog=ENDS)(run)

    return decorate


def _home(value: Any) -> Any:
    """Return paths with ``~`` as the home folder, which no shell puts there in ``--store=~/runs``."""
    if isinstance(value, list):
        return [_home(one) for one in value]
    return home(value) if isinstance(value, Path) else value


def words(text: str) -> list[str]:
    """Split a list given with spaces or commas."""
    return [word for word in re.split(r"[\s,]+", text) if word]


def numbers(text: str) -> list[int]:
    """Read seeds.

    Raises:
        InputError: for anything but whole numbers of at least zero.
    """
    bad = next((word for word in words(text) if not re.fullmatch("[0-9]{1,10}", word) or int(word) > SEEDS), None)
    if bad is not None or not words(text):
        raise InputError(f"seeds '{bad or text}': allowed: whole numbers from 0 to {SEEDS}, e.g. '0 1 2'")
    return [int(word) for word in words(text)]


def duration(text: str) -> float:
    """Read a length of time, in seconds.

    Raises:
        InputError: for anything but hours, minutes and seconds, in this order, that are more than none.
    """
    found = re.fullmatch(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", text.strip())
    seconds = sum(int(n or 0) * unit for n, unit in zip(found.groups(), (3600, 60, 1), strict=True)) if found else 0
    if not seconds:
        near = f"; nearest: {text.strip()}m" if re.fullmatch("0*[1-9][0-9]{0,5}", text.strip()) else ""
        raise InputError(f"time limit '{text}'; allowed: hours, minutes, seconds, e.g. 1h30m, 50m or 90s{near}")
    return float(seconds)


def once(what: str, given: list[T]) -> list[T]:
    """Return what was given, each once, and say so of what was given more often."""
    for value in (value for value, times in Counter(given).items() if times > 1):
        print(f"{what} {value} is given more than once: it is one run", file=sys.stderr)
    return list(dict.fromkeys(given))
