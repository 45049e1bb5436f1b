"""What scores an answer in GRPO and RLOO: one entry of ``rollout.rewards``."""

from __future__ import annotations

from typing import Literal

from trainer.contract.config.base import Section, field
from trainer.contract.config.texts import Expression, Place, SchemaText

RewardName = Literal["exact_answer", "regex", "format", "length", "language", "json_schema",
                     "reward_model", "judge", "python"]


class RewardUse(Section):
    """One reward and its settings; ``name`` decides which of them mean something."""

    name: RewardName = field(..., "Reward", "Which function scores.")
    weight: float = field(1.0, "Weight", "Factor of the score in the sum.", ge=-100, le=100)
    pattern: Expression | None = field(
        None, "Pattern", "Regular expression: of 'regex' what must be found, of 'format' what the "
        "whole answer must match, of 'exact_answer' where the answer stands (first group).")
    target: int | None = field(None, "Target length", "Of 'length', in tokens.", ge=1)
    language: str | None = field(None, "Language", "ISO 639-1 code such as en or zh.")
    json_schema: SchemaText | None = field(
        None, "JSON schema", "Of 'json_schema': the schema as JSON, or the path of its file.")
    model: Place | None = field(
        None, "Model", "Of 'reward_model' a run's id or a folder; of 'judge' the name at the "
        "server.")
    base_url: str | None = field(
        None, "Address", "Of 'judge': an OpenAI-compatible server, such as "
        "http://127.0.0.1:8000/v1. Its key is taken from FINESTRA_JUDGE_KEY.")
    instruction: str | None = field(
        None, "Instruction", "Of 'judge': what a good answer is.", max_length=20_000)
    path: Place | None = field(
        None, "Python file", "Of 'python': a file with a function reward(prompts, completions, "
        "references) -> list of numbers.")
    sha256: str | None = field(
        None, "Consent", "Of 'python': the SHA-256 of the file that may run, so that a changed "
        "file asks again.", pattern=r"^[0-9a-f]{64}$")


NEEDS: dict[str, tuple[str, ...]] = {
    "exact_answer": (), "regex": ("pattern",), "format": ("pattern",), "length": ("target",),
    "language": ("language",), "json_schema": ("json_schema",), "reward_model": ("model",),
    "judge": ("model", "base_url"), "python": ("path",)}
# What each reward may have besides what it needs.
TAKES: dict[str, tuple[str, ...]] = {
    "exact_answer": ("pattern",), "judge": ("instruction",), "python": ("sha256",)}
