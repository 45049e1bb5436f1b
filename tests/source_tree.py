"""The project's own Python files, parsed once: what the rules of the house are tested on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ("app", "trainer", "bench", "assets")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file: ``path`` is relative to the repository, ``name`` is dotted."""

    path: str
    name: str
    tree: ast.Module
    lines: int

    @property
    def package(self) -> str:
        """Return the package that relative imports start from."""
        is_package = self.path.endswith("__init__.py")
        return self.name if is_package else self.name.rpartition(".")[0]


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Return every module below the folders, SOURCE unless told; sorted by path."""
    return tuple(read(file) for folder in folders or SOURCE
                 for file in sorted((ROOT / folder).rglob("*.py")))


@cache
def read(file: Path) -> Module:
    """Parse one file."""
    text = file.read_text(encoding="utf-8")
    path = file.relative_to(ROOT)
    parts = path.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(path.as_posix(), name, ast.parse(text, path.as_posix()), text.count("\n"))


@cache
def imports(module: Module) -> tuple[tuple[str, int], ...]:
    """Return (dotted name, line) of everything imported anywhere in a module.

    ``from a import b`` gives ``a.b``; a constant given to ``import_module`` counts as well.
    """
    return tuple(_imports(module))


def _imports(module: Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = module.package.split(".")
            above = start[:len(start) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"}:
            yield from ((arg.value, node.lineno) for arg in node.args[:1]
                        if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def called(node: ast.Call) -> str:
    """Return the last name of what is called: ``load`` for ``yaml.load(...)``."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` for a chain of names, else ''."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""


@cache
def functions(module: Module) -> tuple[tuple[str, Function], ...]:
    """Return (path:line name, definition) of every function, nested ones too."""
    return tuple((f"{module.path}:{node.lineno} {node.name}", node)
                 for node in ast.walk(module.tree) if isinstance(node, Function))


def body_lines(node: Function) -> int:
    """Return how many lines a function's body spans; its docstring is left out."""
    body = list(node.body)
    if ast.get_docstring(node, clean=False) is not None:
        body = body[1:]
    if not body:
        return 0
    end = body[-1].end_lineno
    assert end is not None
    return end - body[0].lineno + 1


def within(name: str, *packages: str) -> bool:
    """Tell whether a dotted name is one of the packages or lies below one."""
    return any(name == package or name.startswith(package + ".") for package in packages)
