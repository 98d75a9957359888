"""The command line: a thin face that parses arguments, asks the library, and writes what it says."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pynenc_async import status_render
from pynenc_async.app import Pynenc
from pynenc_async.configuration.app_options import APP_DEFAULTS
from pynenc_async.errors import PynencError
from pynenc_async.option_docs import explained
from pynenc_async.options import TaskOptions
from pynenc_async.printable import printable_lines

_STATUS_FORMATS: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "text": status_render.as_text,
        "mermaid": status_render.as_mermaid,
        "svg": status_render.as_svg,
        "sql": status_render.as_sql_check,
    }
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (None: of the process) and return its exit code."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    return command(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pynenc_async", description="Tools for pynenc_async.")
    subjects = parser.add_subparsers(required=True, metavar="SUBJECT")
    status = subjects.add_parser("status", help="the statuses of an invocation")
    actions = status.add_subparsers(required=True, metavar="ACTION")
    render = actions.add_parser("render", help="draw or write down the status table")
    render.add_argument("--format", choices=tuple(_STATUS_FORMATS), default="text", help="default: %(default)s")
    render.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    render.set_defaults(command=_render_status)
    options = subjects.add_parser("options", help="every option: its value, where the value was found, what it means")
    options.add_argument("--app", metavar="MODULE:APP", help="default: an app made here, without tasks")
    options.set_defaults(command=_explain_options)
    return parser


def _explain_options(arguments: argparse.Namespace) -> int:
    try:
        app = Pynenc() if arguments.app is None else _find_app(arguments.app)
    except (PynencError, ImportError, AttributeError, TypeError) as error:
        _complain(f"{error}")
        return 1
    meanings = [
        "What the options of an app mean:",
        *explained(Pynenc, APP_DEFAULTS),
        "\nWhat the options of a task mean:",
        *explained(TaskOptions, {field.name: field.default for field in fields(TaskOptions)}),
    ]
    return _write("\n".join([app.explain_options(), "", *meanings, ""]), None)


def _find_app(path: str) -> Pynenc:
    """Import an app as `python -m` would; raises what the import raises, and `TypeError` for what is no app."""
    module_name, _, name = path.partition(":")
    if not module_name:
        raise ImportError(f"--app {path!r} names no module; write MODULE:APP, for instance shop.jobs:app")
    if sys.path[:1] not in ([""], [str(Path.cwd())]):
        sys.path.insert(0, str(Path.cwd()))
    app: object = importlib.import_module(module_name)
    for part in (name or "app").split("."):
        app = getattr(app, part)
    if not isinstance(app, Pynenc):
        raise TypeError(f"{path} is no Pynenc app, but {app!r}")
    return app


def _render_status(arguments: argparse.Namespace) -> int:
    return _write(_STATUS_FORMATS[arguments.format]() + "\n", arguments.output)


def _write(text: str, output: Path | None) -> int:
    if output is None:
        return _print(text)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        _complain(f"cannot write {output}: {error.strerror}")
        return 1
    return 0


def _print(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # else whoever reads has seen enough
            _complain(f"cannot write to standard output: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes when it ends
        return 1
    return 0


def _complain(text: str) -> None:
    sys.stderr.write(printable_lines(text) + "\n")
