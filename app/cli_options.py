"""Commands with many options: a dataclass declares them, a function of it does the work."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, get_type_hints

import typer

from app.home import Home
from trainer.data import DatasetError

Options = TypeVar("Options")


def command(app: typer.Typer, name: str, options: type[Options],
            run: Callable[[Options], None]) -> None:
    """Register a command whose parameters are the fields of a dataclass.

    Args:
        app: Where to.
        name: The command's name.
        options: A dataclass; each field is annotated as a parameter of a Typer command is.
        run: Does the work; its docstring is the command's help.
    """
    hints = get_type_hints(options, include_extras=True)

    def call(**values: Any) -> None:
        run(options(**values))

    call.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, annotation=hints[field.name],
                          default=_default(field))
        for field in dataclasses.fields(options)])  # type: ignore[arg-type]
    call.__annotations__ = {field.name: hints[field.name]
                            for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    call.__doc__ = inspect.getdoc(run)
    app.command(name)(call)


def _default(field: dataclasses.Field[Any]) -> Any:
    missing = field.default is dataclasses.MISSING
    return inspect.Parameter.empty if missing else field.default


@contextmanager
def lent_token(home: Home) -> Iterator[None]:
    """Let the hub's token of the home's secrets stand in the environment while the block runs."""
    token = home.read_secrets().get("HF_TOKEN", "")
    if not token or os.environ.get("HF_TOKEN"):
        yield
        return
    os.environ["HF_TOKEN"] = token
    try:
        yield
    finally:
        del os.environ["HF_TOKEN"]


def parse_map(pairs: list[str] | None) -> dict[str, str]:
    """Read ``--map role=column`` options.

    Raises:
        DatasetError: One is not of that form (``mapping``).
    """
    found: dict[str, str] = {}
    for pair in pairs or []:
        role, equals, column = pair.partition("=")
        if not equals or not role.strip() or not column:
            raise DatasetError("mapping", f"'{pair}' is not of the form role=column.",
                               "Write --map prompt=question --map response=answer.")
        found[role.strip()] = column
    return found
