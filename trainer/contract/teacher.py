"""Whether a teacher and a student speak of the same tokens; read from files, without a library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.contract.config import RunConfig
from trainer.contract.files import read_json
from trainer.contract.models import ModelError, resolve_model
from trainer.contract.problems import Problem, message_and_advice


def read_vocabulary(path: Path) -> dict[str, int]:
    """Return the ids of a tokenizer.json by their tokens, added ones included."""
    found: Any = read_json(path) or {}
    vocabulary: Any = (found.get("model") or {}).get("vocab") or {}
    if isinstance(vocabulary, list):
        vocabulary = {entry[0]: index for index, entry in enumerate(vocabulary)}
    added = found.get("added_tokens") or []
    return {**vocabulary, **{token["content"]: token["id"] for token in added}}


def difference(student: dict[str, int], teacher: dict[str, int]) -> str:
    """Say how two vocabularies differ, '' when they are the same."""
    other = {token for token, index in student.items() if teacher.get(token) != index}
    other |= teacher.keys() - student.keys()
    if not other:
        return ""
    first = min(other, key=lambda token: (student.get(token, teacher.get(token, 0)), token))
    here, there = student.get(first), teacher.get(first)
    shown = "missing" if there is None else f"number {there}"
    return (f"{len(other):,} tokens differ; the first is {first!r}, "
            f"{'missing' if here is None else f'number {here}'} in the student and {shown} in the "
            "teacher")


def teacher_problem(config: RunConfig, runs: Path, student: Path | None) -> Problem | None:
    """Return what keeps a run's teacher from teaching, as far as files on this machine tell.

    Args:
        config: The run.
        runs: The folder of runs, for a teacher that is one.
        student: The folder of the student's base; None when it is not on this machine.
    """
    if not config.facts.teacher or not config.teacher.name_or_path:
        return None
    try:
        source = resolve_model(config.teacher.name_or_path, runs, config.teacher.revision)
    except ModelError as error:
        message, advice = message_and_advice(error)
        return Problem(field="teacher.name_or_path", code=error.code, scope="machine",
                       message=message, advice=advice,
                       params={"name": config.teacher.name_or_path})
    if student is None or not source.is_folder:
        return None
    told = difference(read_vocabulary(student / "tokenizer.json"),
                      read_vocabulary(Path(source.base) / "tokenizer.json"))
    if not told:
        return None
    return Problem(field="teacher.name_or_path", code="teacher_tokenizer", scope="machine",
                   message=f"'{config.teacher.name_or_path}' has another tokenizer than the "
                           f"student: {told}.",
                   advice="Choose a teacher of the same family: its tokens must have the same "
                          "numbers.", params={"name": config.teacher.name_or_path})
