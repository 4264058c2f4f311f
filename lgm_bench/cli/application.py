"""The command line application: its verbs, and what errors and Ctrl-C do."""

import contextlib
import inspect
import io
import logging
import os
import re
import shlex
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lgm_bench import __version__
from lgm_bench.cli.attack import attack
from lgm_bench.cli.board import board
from lgm_bench.cli.compare import compare
from lgm_bench.cli.data import data
from lgm_bench.cli.doctor import doctor
from lgm_bench.cli.evaluate import evaluate
from lgm_bench.cli.import_ import import_
from lgm_bench.cli.ls import ls
from lgm_bench.cli.output import BAD_USAGE, INTERRUPTED, OUR_FAULT, READER_GONE, complain, printable
from lgm_bench.cli.report import report
from lgm_bench.cli.run import run
from lgm_bench.cli.search import search
from lgm_bench.cli.show import show
from lgm_bench.cli.train import train
from lgm_bench.cli.validate import validate
from lgm_bench.errors import LgmBenchError, LostProcessError, RunInterruptedError, fault
from lgm_bench.evaluation.engine.place import ALONE, here


class _Group(TyperGroup):
    """Prints our own errors in one line, and on Ctrl-C the command that continues."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse arguments that are empty or contain a NUL character; no verb takes such a value."""
        for number, text in enumerate(args):
            if not text or (text.startswith("--") and text.find("=") == len(text) - 1) or "\0" in text:
                before = f" after {args[number - 1]}" if number else ""
                raise typer.BadParameter(f"{text!r}{before} is empty or has a NUL character", ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        rank = 0
        try:
            rank = here().rank
            if rank:
                sys.stdout = io.StringIO()  # only process 0 prints
            return super().invoke(ctx)
        except (BrokenPipeError, SystemExit, KeyboardInterrupt, RunInterruptedError) as error:
            if _reader_is_gone(error):
                _discard_output()  # rich and click would exit with 1, which here means a regression
                raise typer.Exit(READER_GONE) from None
            if isinstance(error, SystemExit):
                raise
            if not rank:
                complain(_interrupted(error))
            raise typer.Exit(INTERRUPTED) from None
        except LostProcessError as error:
            raise _refused(f"{error}\n{_to_go_on()}", rank) from None
        except (LgmBenchError, OSError) as error:  # OSError: such as a folder without permission; no traceback helps
            raise _refused(str(error), rank) from None
        except Exception as error:
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):  # of typer
                raise
            traceback.print_exc()
            complain(f"this is a fault in lgm-bench ({fault(error)}); please report it with the lines above")
            raise typer.Exit(OUR_FAULT) from None


def _refused(message: str, rank: int) -> typer.Exit:
    complain(f"error in process {rank}: {message}" if rank else f"error: {message}")
    return typer.Exit(BAD_USAGE)


class _Printable(logging.Formatter):
    """Formats warnings with their control characters written out."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _reader_is_gone(error: BaseException | None) -> bool:
    """Return whether an error comes from a pipe whose reader has ended, such as `head`."""
    return error is not None and (isinstance(error, BrokenPipeError) or _reader_is_gone(error.__context__))


def _discard_output() -> None:
    """Send everything that is printed from now on to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a stream without a file, as in a notebook
            stream.flush()
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())


def _interrupted(error: BaseException) -> str:
    return f"\n{str(error) or 'interrupted'}\n{_to_go_on()}"


def _to_go_on() -> str:
    return f"To go on: {shlex.join(['lgm-bench', *sys.argv[1:]])}"


app = typer.Typer(
    name="lgm-bench",
    cls=_Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _verb, _name in (
    (run, "run"),
    (attack, "attack"),
    (evaluate, "evaluate"),
    (board, "board"),
    (show, "show"),
    (report, "report"),
    (compare, "compare"),
    (train, "train"),
    (search, "search"),
    (ls, "ls"),
    (validate, "validate"),
    (doctor, "doctor"),
    (import_, "import"),
    (data, "data"),
):
    _help = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(_verb) or "")  # else lines break where the source's do
    app.command(_name, help=_help)(_verb)


def main() -> None:
    """Run the command line. Modules in the current folder can be imported, as with `python -m`."""
    sys.path.append(str(Path.cwd()))
    if logging.lastResort:
        logging.lastResort.setFormatter(_Printable())
    try:
        app(prog_name="lgm-bench")
    except SystemExit as ending:
        if _is_one_of_several():
            _leave(ending.code)
        raise


def _is_one_of_several() -> bool:
    try:
        return here() != ALONE
    except LgmBenchError:
        return False


def _leave(code: str | int | None) -> None:
    """End this process at once: during an ordinary exit, threads of torch.distributed sometimes abort it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


@app.callback(invoke_without_command=True)
def about(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Attack adaptive networks with gradients that see their decisions (LGM) and gradients that do not (FGM).

    Start with [bold]lgm-bench run[/]: it needs no data and takes about three minutes. [bold]lgm-bench evaluate[/]
    finds out how robust one network is, and [bold]lgm-bench ls[/] lists what can be attacked, and how.
    """
    if version:
        print(f"lgm-bench {__version__}")
        raise typer.Exit
    _quieten_lightning()


def _quieten_lightning() -> None:
    """Keep Lightning's hints out of the output."""
    for package in ("pytorch_lightning", "lightning_fabric", "lightning_utilities"):
        logging.getLogger(f"{package}.utilities.rank_zero").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", module=package)
