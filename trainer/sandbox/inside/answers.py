"""A program out of what a model wrote, and its tests; strings and syntax trees only."""

from __future__ import annotations

import ast
import re

_FENCE = re.compile(r"^[ \t]*```+[ \t]*([\w+#-]*)[^\n]*\n(.*?)(?:^[ \t]*```+[ \t]*$|\Z)",
                    re.DOTALL | re.MULTILINE)
_PYTHON = ("", "py", "python", "python3")
_DEFINED = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_ENTRY = "__the_function_that_is_asked_for"


class BadTests(ValueError):
    """The tests of a row are no tests."""


class Tests:
    """Test code: ``assert`` at its top, ``check(candidate)``, or functions ``test_...()``.

    Attributes:
        names: What it speaks of.
    """

    def __init__(self, text: str) -> None:
        """Read it.

        Raises:
            BadTests: It is no Python, or nothing would be asserted.
        """
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            where = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise BadTests(f"it is no Python ({type(error).__name__}{where})") from None
        self.names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        self._text, self._calls = text, _calls(tree)

    def source(self, entry: str) -> str:
        """Return what is run; ``entry`` is the function that ``check`` is called with."""
        return "\n".join([self._text, *self._calls]).replace(_ENTRY, entry) + "\n" \
            if self._calls else self._text


def _calls(tree: ast.Module) -> list[str]:
    """Return the calls that tests need to be run; none when they run by themselves."""
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)
                 and any(isinstance(inner, ast.Assert | ast.Raise) for inner in ast.walk(node))}
    runs = [node for statement in tree.body
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            for node in ast.walk(statement)]
    if any(isinstance(node, ast.Assert | ast.Raise) for node in runs) or any(
            isinstance(node, ast.Call) and getattr(node.func, "id", None) in functions
            for node in runs):
        return []
    if "check" in functions:
        return [f"check({_ENTRY})"]
    if found := [f"{name}()" for name in sorted(functions) if name.startswith("test_")]:
        return found
    raise BadTests("nothing is asserted in it")


def assembled(prompt: str, answer: str, tests: Tests) -> tuple[str, str]:
    """Return a program and the name of the function that is asked for.

    A prompt that is code comes first: its imports and helpers count, and an answer that begins
    within a function goes on with its last one.
    """
    start = _code_of_prompt(prompt)
    code = _code_of_answer(answer, {*tests.names, *_DEFINED.findall(start)})
    if start and _goes_on(code):
        code = _body(code)
    entry = (_DEFINED.findall(start) or _DEFINED.findall(code) or ["None"])[-1]
    return (f"{start.rstrip()}\n{code}" if start else code), entry


def _code_of_prompt(prompt: str) -> str:
    """Return the code that is to be gone on with; '' when the prompt is prose."""
    for text in (prompt, *(code for name, code in _FENCE.findall(prompt) if name in _PYTHON)):
        try:
            # A function without a body yet gets one here.
            tree = ast.parse(f"{text.rstrip()}\n    pass" if text.rstrip().endswith(":") else text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
               for node in tree.body):
            return text
    return ""


def _code_of_answer(answer: str, wanted: set[str]) -> str:
    """Return the block that defines what is wanted, else the first one, else all of it."""
    text = answer.rpartition("</think>")[2]
    blocks = [code for name, code in _FENCE.findall(text) if name.lower() in _PYTHON]
    for block in blocks:
        if wanted.intersection(_DEFINED.findall(block)):
            return block
    return blocks[0] if blocks else text


def _goes_on(code: str) -> bool:
    """Tell whether code begins within a function."""
    first = next((line for line in code.splitlines() if line.strip()), "")
    return first[:1] in (" ", "\t")


def _body(code: str) -> str:
    """Return code up to where the function ends that it begins in."""
    kept = []
    for line in code.splitlines():
        if line.strip() and line[0] not in " \t#)]}":
            break
        kept.append(line)
    return "\n".join(kept) + "\n"
