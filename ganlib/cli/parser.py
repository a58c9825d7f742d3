"""The command line: ``python -m ganlib`` train, sample, list, show, record, export.

Here is what can be asked; :mod:`ganlib.cli.commands` does it. Whatever is asked wrongly ends in one
line on stderr that says what would be right, exit code 2, and no half-written file.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import NoReturn, TextIO

from ganlib import Refused
from ganlib.cli import commands, judging
from ganlib.cli.commands import EXPECTED, WORKSPACE
from ganlib.configuration import DEVICES, TrainingConfig
from ganlib.families import MODELS
from ganlib.judge import metrics
from ganlib.studies.catalogue import STUDIES
from ganlib.studies.recording import RECIPES

A_RUN = "a recorded run's name or a run's folder"
# What PyTorch says, in a RuntimeError, when memory is refused: on the CPU, and on a GPU.
NO_MEMORY = re.compile("not enough memory|out of memory|can.t allocate|bad_alloc|ALLOC_FAILED")


def main(argv: list[str] | None = None) -> int:
    """Run the command in ``argv`` (default: the process's arguments) and return its exit code.

    0: done. 2: asked wrongly, refused by the machine, or training diverged. 130: stopped with
    Ctrl-C.
    """
    try:
        if sys.stdout is None:
            raise Refused("standard output is closed: send it somewhere, if only to a file")
        code = command(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        tell("stopped")
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        drop(sys.stdout)
        return 0
    except Exception as error:
        told = explain(error)
        if told is None:
            raise  # a fault of our own
        tell(told)
        return 2


def command(argv: list[str]) -> int:
    """Parse ``argv`` and do what it says."""
    if any("\0" in text for text in argv):
        raise Refused("an argument holds a NUL character, which no name or number has")
    parser = build_parser()
    try:
        options = parser.parse_args(argv)
    except SystemExit as end:  # --help has printed
        return end.code or 0
    if options.command is None:
        parser.print_help()
        return 2
    return options.command(options)


def explain(error: Exception) -> str | None:
    """One line for what is no bug of the library's; None for what is."""
    if isinstance(error, PermissionError) and error.filename:
        return f"no permission for {error.filename}: name another place"
    if isinstance(error, EXPECTED):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and NO_MEMORY.search(str(error))
    ):
        return "there is not enough memory: ask for fewer or smaller images, or smaller batches"
    if not isinstance(error, OSError):
        return None
    where = error.filename
    if not where:  # perhaps it was the printing that failed: then it fails again
        try:
            print(flush=True)
        except OSError:
            drop(sys.stdout)
            where = "standard output"
    return f"{f'{where}: ' if where else ''}{error.strerror or error}"


def tell(message: str) -> None:
    """A line on stderr, if anybody listens."""
    try:
        print(f"ganlib: {message}", file=sys.stderr or open(os.devnull, "w"), flush=True)
    except OSError:
        drop(sys.stderr)


def drop(stream: TextIO) -> None:
    """Let what ``stream`` still holds go nowhere, or Python's own last flush of it would fail."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# --- What can be asked ---------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are told like all others, not below a screen of usage."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, **settings)

    def print_help(self, file=None) -> None:
        print(self.format_help(), end="", file=file)  # argparse's own hides that it cannot

    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message}; see {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(prog="python -m ganlib", description="GANs for handwritten digits.")
    parser.set_defaults(command=None)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, function: Callable, text: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(command=function)
        return added

    one = command("train", commands.train_command, "train a model, or go on with a run")
    one.add_argument("model", metavar="MODEL", help=f"one of {', '.join(MODELS)}")
    add_config_options(one)
    one.add_argument(
        "--out", metavar="DIR", help=f"the run's folder (default: {WORKSPACE}/MODEL-seedSEED)"
    )
    one.add_argument(
        "--resume",
        action="store_true",
        default=argparse.SUPPRESS,
        help="go on with the run in --out, configured as it was",
    )

    one = command("sample", commands.sample_command, "let a trained generator draw images")
    one.add_argument("run", metavar="RUN", help=A_RUN)
    one.add_argument("--digit", metavar="D", type=whole, help="only this digit, or class")
    add_drawing_options(one, 100, "how many")
    one.add_argument(
        "--out",
        metavar="FILE",
        required=True,
        help="FILE.png: a sheet; FILE.npz: images (N, 1, H, W) in [-1, 1] and labels (N,)",
    )

    one = command("list", commands.list_command, "list the recorded runs and your own")
    one.add_argument(
        "--folder",
        metavar="DIR",
        default=str(WORKSPACE),
        help="where yours are (default: %(default)s)",
    )

    one = command("show", commands.show_command, "show a run's configuration, losses and sizes")
    one.add_argument("run", metavar="RUN", help=A_RUN)

    one = command("evaluate", judging.evaluate_command, "measure how good a run's images are")
    one.add_argument("run", metavar="RUN", help=A_RUN)
    add_drawing_options(one, metrics.N_IMAGES, "images to measure")
    one.add_argument("--json", metavar="FILE", help="write all measures there too")

    one = command("record", judging.record_command, "make what ships with the book")
    one.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help=f"of classifier, {', '.join(RECIPES)} (default: those not recorded yet)",
    )
    add_making_options(one)

    one = command("export", commands.export_command, "write generators for the book's playground")
    one.add_argument("runs", metavar="RUN", nargs="+", help=A_RUN)
    one.add_argument(
        "--out", metavar="DIR", required=True, help="where RUN.json, RUN.bin and index.json go"
    )

    one = command("experiment", judging.experiment_command, "train and measure a study's cells")
    one.add_argument(
        "study",
        metavar="STUDY",
        choices=STUDIES,
        help="; ".join(f"{study.name}: {study.asks}" for study in STUDIES.values()),
    )
    for option, default, text in (
        ("--seeds", 3, "runs of each cell, with seeds 0, 1, ..."),
        ("--workers", None, "cells trained at once (default: one a core, at most 4)"),
    ):
        text += "" if default is None else " (default: %(default)s)"
        one.add_argument(option, metavar="N", type=whole, default=default, help=text)
    one.add_argument(
        "--scheduler",
        metavar="URL",
        help="train on the workers of this Dask scheduler, such as tcp://host:8786, instead",
    )
    add_making_options(one)
    return parser


def add_drawing_options(parser: argparse.ArgumentParser, n: int, text: str) -> None:
    """How many images a generator draws, and from which noise."""
    for option, default, meaning in (("--n", n, text), ("--seed", 0, "decides the noise")):
        help_text = f"{meaning} (default: %(default)s)"
        parser.add_argument(option, metavar="N", type=whole, default=default, help=help_text)


def add_making_options(parser: argparse.ArgumentParser) -> None:
    """Where and on what to train that which ships."""
    parser.add_argument(
        "--workspace",
        metavar="DIR",
        default=str(WORKSPACE),
        help="train here (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        metavar="NAME",
        default="auto",
        help=f"one of {', '.join(DEVICES)} (default: %(default)s)",
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """An option for every setting that has a help; those not given leave no trace."""
    squared = " and ".join(name for name, kind in MODELS.items() if kind.loss == "mse")
    by_default = {"loss": f"{squared} mse, others bce"}
    for field in fields(TrainingConfig):
        if "help" not in field.metadata:
            continue
        default = by_default.get(field.name) or field.metadata["unset"] or field.default
        kind = next(kind for kind in (int, float, str) if field.type in (kind, kind | None))
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type={int: whole, float: number, str: str}[kind],
            metavar={int: "N", float: "X", str: "NAME"}[kind],
            default=argparse.SUPPRESS,
            help=f"{field.metadata['help']} (default: {default})",
        )


def whole(text: str) -> int:
    """An option's text as a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def number(text: str) -> float:
    """An option's text as a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None
