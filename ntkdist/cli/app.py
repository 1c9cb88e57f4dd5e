"""The ``ntkdist`` program: its commands, and how an error becomes one sentence and an exit code.

Exit codes: 0 done, 1 checks failed, 2 refused at the start, 3 store locked, 4 out of disk or memory, 5 cluster lost,
6 arithmetic cannot resolve, 70 bug, 128+N stopped by signal N.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

import typer

from ntkdist.cli.append import append
from ntkdist.cli.compare import compare
from ntkdist.cli.console import err, out, plain
from ntkdist.cli.depth import depth
from ntkdist.cli.doctor import doctor
from ntkdist.cli.export import export
from ntkdist.cli.init import init
from ntkdist.cli.inspect import inspect
from ntkdist.cli.plan import plan
from ntkdist.cli.report import report
from ntkdist.cli.run import run
from ntkdist.cli.schema import schema
from ntkdist.cli.verify import verify
from ntkdist.cli.widths import widths
from ntkdist.errors import NtkdistError

app = typer.Typer(
    name="ntkdist",
    help="Exact Neural Tangent Kernel analysis of real datasets, at any scale.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (init, run, plan, inspect, verify, append, export, report, compare, depth, widths, schema, doctor):
    app.command()(command)


# What an unknown option or a missing argument raises, wherever typer keeps it.
_UsageError: type[typer.BadParameter] = typer.BadParameter.__mro__[1]


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived: unwind, give back the lock, exit with 128 + the signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def main() -> None:
    """Run the program and exit."""
    guarded(app, "ntkdist")


def guarded(program: typer.Typer, name: str) -> NoReturn:
    """Run a typer program on the process's arguments; every error becomes a sentence and an exit code."""
    sys.exit(_run(program, name, sys.argv[1:]))


def _run(program: typer.Typer, name: str, argv: list[str]) -> int:
    debug = "--debug" in argv
    as_json = "--json" in argv
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _terminate)
    try:
        code = program(args=argv, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        # Typer swallows a Ctrl-C and makes it its own exit code.
        if code == 128 + signal.SIGINT:
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except typer.Exit as stop:
        return int(stop.exit_code)
    except _UsageError as error:
        return _say(error.format_message(), 2, as_json)
    except (KeyboardInterrupt, typer.Abort):
        return _say("Interrupted; finished work is kept: start the same command again to continue.", 130, as_json)
    except Terminated as stop:
        name = signal.Signals(stop.signum).name
        return _say(
            f"Stopped by {name}; finished work is kept: start the same command again.",
            128 + stop.signum,
            as_json,
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except NtkdistError as error:
        if debug:
            traceback.print_exc()
        return _say(str(error), error.exit_code, as_json)
    except MemoryError:
        return _say("The memory ran out; choose --set gram.mode=streamed or a smaller gram.tile.", 4, as_json)
    except OSError as error:
        if debug:
            traceback.print_exc()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        return _say(f"{error.strerror or error} ({error.filename or 'no file named'}).", 4 if full else 70, as_json)
    except Exception as error:  # noqa: BLE001 - the last border: whatever it is becomes a sentence
        if debug:
            traceback.print_exc()
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        return _say(f"This is a bug in ntkdist ({what}); please report it with the output of --debug.", 70, as_json)


def _say(sentence: str, code: int, as_json: bool) -> int:
    if as_json:
        out.file.write(json.dumps({"error": sentence, "exit_code": code}) + "\n")
    err.print(f"ntkdist: {plain(sentence)}", markup=False, highlight=False, soft_wrap=True)
    return code


def _terminate(signum: int, _: FrameType | None) -> NoReturn:
    raise Terminated(signum)
