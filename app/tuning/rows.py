"""OpenAI's rows as ours: what a file holds, the rows turned round, and what is wrong with them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeGuard

from app.serving.openai_errors import ApiError
from trainer.data import DatasetError, check
from trainer.data.reading.rows import shown
from trainer.data.reading.sources import locate

Kind = Literal["chat", "preference", "prompts"]
Convert = Callable[[dict[str, Any]], dict[str, Any]]
OBJECTIVE: dict[Kind, str] = {"chat": "sft", "preference": "dpo", "prompts": "grpo"}
SHOWN = 5
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
LINE_BYTES = 16 << 20
# Errors here, although elsewhere they are warnings: OpenAI heeds what our reader would not.
_ALSO_WRONG = frozenset({"weight_ignored"})
_LINES = ("Each line is a JSON object with 'messages', or for 'dpo' with 'input', "
          "'preferred_output' and 'non_preferred_output'.")


class BadRow(ValueError):
    """A row that is not as OpenAI writes it; the text goes on after 'Row 3'."""


def kind_of(path: Path) -> Kind:
    """Tell by the first row that can be read what a file is for; 'chat' when none can."""
    for _, row in _rows(path):
        if row is None:
            continue
        if "preferred_output" in row or "non_preferred_output" in row:
            return "preference"
        turns = row.get("messages")
        last = turns[-1] if isinstance(turns, list) and turns else None
        return "prompts" if isinstance(last, dict) and last.get("role") == "user" else "chat"
    return "chat"


def to_chat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a conversation as it is; BadRow for a role that OpenAI does not know.

    Our reader would take other words for roles where most rows have them.
    """
    if not _is_turns(row.get("messages")) and "messages" in row:
        raise BadRow("has no turns in 'messages'.")
    return row


def to_pair(row: dict[str, Any]) -> dict[str, Any]:
    """Turn OpenAI's preference into a prompt and two answers; BadRow when it is none."""
    asked = row.get("input")
    if not isinstance(asked, dict) or not _is_turns(asked.get("messages")):
        raise BadRow("has no list 'messages' in 'input'.")
    for name in ("preferred_output", "non_preferred_output"):
        turns = row.get(name)
        if not _is_turns(turns) or any(turn.get("role") != "assistant" for turn in turns):
            raise BadRow(f"has no answers of the assistant in '{name}'.")
    tools = {"tools": asked["tools"]} if asked.get("tools") else {}
    return {"prompt": asked["messages"], "chosen": row["preferred_output"],
            "rejected": row["non_preferred_output"], **tools}


def to_prompt(row: dict[str, Any], field: str = "") -> dict[str, Any]:
    """Turn a row into a prompt, and the value of a field into its reference; BadRow without."""
    turns = row.get("messages")
    if not _is_turns(turns):
        raise BadRow("has no list of turns in 'messages'.")
    if turns[-1].get("role") != "user":
        raise BadRow("does not end with the user in 'messages'.")
    if not field:
        return {"prompt": turns}
    value: Any = row
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise BadRow(f"has no text or number in '{field}'.")
    return {"prompt": turns, "reference": str(value)}


def _is_turns(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Tell whether there are turns; BadRow for a role that OpenAI does not know."""
    if not isinstance(value, list) or not value:
        return False
    for turn in value:
        if isinstance(turn, dict) and turn.get("role") not in ROLES:
            raise BadRow(f"has the role {shown(turn.get('role'))}; OpenAI's are "
                         f"{', '.join(ROLES)}.")
    return all(isinstance(turn, dict) for turn in value)


def _rows(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Yield each line and its object; None for what is no JSON object.

    Raises:
        ApiError: A line is too long to be held.
    """
    with path.open("rb") as file:
        for number in count(1):
            line = file.readline(LINE_BYTES)
            if not line:
                return
            if len(line) == LINE_BYTES:
                raise bad_rows([f"Row {number} is longer than {LINE_BYTES >> 20} MiB."], 1)
            try:
                # A mark at the beginning of the file is no part of the first row.
                value = json.loads(line.removeprefix(b"\xef\xbb\xbf")) if line.strip() else None
            except (ValueError, RecursionError):
                value = None
            yield line, value if isinstance(value, dict) else None


def require_rows(path: Path, how: Convert, filename: str) -> None:
    """Refuse rows that are not as OpenAI writes them; what is no object is left for the check.

    Raises:
        ApiError: 400, with the first bad rows by their number.
    """
    problems: list[str] = []
    bad = 0
    for number, (_, row) in enumerate(_rows(path), 1):
        try:
            if row is not None:
                how(row)
        except BadRow as error:
            bad += 1
            problems += [f"Row {number} of {filename} {error}"][:SHOWN - len(problems)]
    if bad:
        raise bad_rows(problems, bad)


def convert(path: Path, target: Path, how: Convert, filename: str) -> None:
    """Write rows anew, each in the line it had.

    Raises:
        ApiError: Rows are not as OpenAI writes them; nothing is written then.
    """
    require_rows(path, how, filename)
    handle, name = tempfile.mkstemp(prefix=".new-", dir=target.parent)
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            for line, row in _rows(path):
                file.write(line if row is None else _line(how(row)))
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def require_good(path: Path, kind: Kind, filename: str) -> int:
    """Check every row as a run would; return their number.

    Raises:
        ApiError: 400, with the first bad rows by their number.
    """
    try:
        report = check(locate(path, name=filename), objective=OBJECTIVE[kind])
    except DatasetError as error:
        # What our own advice speaks of - options, the page - whoever sends a file does not have.
        odd = error.code == "unknown_shape" or "_for_" in error.code
        text = f"{error.message} {_LINES if odd else error.advice}"
        raise ApiError(400, "invalid_file", text.replace(path.name, filename), "file") from None
    wrong = [problem for problem in report.problems
             if problem.severity == "error" or problem.code in _ALSO_WRONG]
    if wrong or not report.usable:
        count = max(report.bad_rows, len({problem.row for problem in wrong}))
        raise bad_rows([p.message.replace(path.name, filename) for p in wrong[:SHOWN]], count)
    return report.rows


def bad_rows(problems: list[str], count: int) -> ApiError:
    """Return the refusal of a file with bad rows."""
    rest = f" {count:,} rows are affected." if count > 1 else ""
    return ApiError(400, "invalid_file", f"{' '.join(problems)}{rest} Fix the file and send it "
                    "again.", "file")
