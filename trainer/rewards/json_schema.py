"""Whether an answer is JSON that a schema allows, by jsonschema (extra ``rewards``)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from trainer.contract.config import RewardUse
from trainer.failures import Failure
from trainer.rewards.base import Batch, Help, Reward, Score, needs_package

LONGEST = 200_000


class Schema:
    """A JSON schema, ready to be held against answers.

    References in it are followed within it only: nothing is fetched.
    """

    def __init__(self, schema: Any) -> None:
        """Prepare a schema, already parsed.

        Raises:
            Failure: This is no schema.
            ImportError: The package jsonschema is missing.
        """
        import jsonschema
        import referencing

        kind = jsonschema.validators.validator_for(
            schema, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(schema)
        except (jsonschema.SchemaError, RecursionError) as error:
            why = getattr(error, "message", None) or str(error)
            raise Failure("reward_schema", f"This is no JSON schema: {why}.",
                          "Mend json_schema.") from None
        self._unknown = referencing.exceptions.Unresolvable
        self._validator = kind(schema, registry=referencing.Registry())

    def allows(self, text: str) -> bool:
        """Tell whether an answer is JSON that the schema allows.

        Raises:
            Failure: The schema refers to what is not in it.
        """
        try:
            return bool(self._validator.is_valid(parse_answer(text)))
        except (ValueError, RecursionError):
            return False
        except self._unknown as error:
            raise Failure("reward_schema", f"The schema refers to what is not in it: {error}.",
                          "Write everything into one schema: nothing is fetched.") from None


class JsonSchema(Reward):
    """1 when the whole answer is JSON that a schema allows, else 0; a code fence may be around."""

    name = "json_schema"

    def __init__(self, schema: Any) -> None:
        """Prepare a schema, already parsed.

        Raises:
            Failure: The package is missing, or this is no schema.
        """
        super().__init__()
        try:
            self._schema = Schema(schema)
        except ImportError:
            raise needs_package("jsonschema", "rewards") from None

    def score(self, batch: Batch) -> list[Score]:
        """Return 1.0 or 0.0."""
        return [float(self._schema.allows(text)) for text in batch.completions]


def parse_answer(text: str) -> Any:
    """Return the JSON value that an answer is; a code fence may be around it.

    Raises:
        ValueError: It is not JSON, or longer than 200,000 characters.
        RecursionError: It is nested too deeply.
    """
    inner = text.strip()
    if inner.startswith("```") and inner.endswith("```"):
        language, line, rest = inner[3:-3].partition("\n")
        inner = rest if line and language.strip() in ("", "json") else inner
    if len(inner) > LONGEST:
        raise ValueError(f"an answer of {len(inner)} characters is not read")
    return _DECODER.decode(inner)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def read_schema(text: str) -> Any:
    """Read a schema that is given as JSON, or as the path of its file.

    Raises:
        Failure: There is no such file, or it is not JSON.
    """
    if not text.lstrip().startswith("{"):
        try:
            text = Path(os.path.expanduser(text)).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise Failure("reward_schema", f"The schema '{text}' cannot be read: {error}.",
                          "Check the path, or write the schema itself.") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Failure("reward_schema", f"The schema is not JSON: {error}.", "Mend it.") from None


def build(use: RewardUse, help: Help) -> Reward:
    """Make the reward from its settings."""
    if not use.json_schema:
        raise Failure("reward_needs", "The reward 'json_schema' needs 'json_schema'.",
                      "Write the schema, or the path of its file.")
    return JsonSchema(read_schema(use.json_schema))
