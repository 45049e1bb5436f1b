"""A Modelfile, with which Ollama takes a GGUF file in.

Format: https://github.com/ollama/ollama/blob/main/docs/modelfile.md. There are no escapes in it: a
text in three quotes ends at the next three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.contract.files import read_json, write_atomic
from trainer.contract.rundir import is_safe_name
from trainer.export.chat_format import ChatFormat, read_chat_format
from trainer.export.errors import ExportError
from trainer.export.go_template import go_template
from trainer.export.turns import TURNS

# Ollama reserves memory for the whole context: long ones are left to who needs them.
_LONGEST_CONTEXT = 8192


@dataclass(frozen=True)
class Modelfile:
    """The text of a Modelfile, the name of its template ('' for none), and notes."""

    text: str
    template: str
    notes: list[str]


def make_modelfile(model: Path, gguf_name: str, *, adds_bos: bool, stop: Sequence[str] = (),
                   num_ctx: int | None = None, system: str = "") -> Modelfile:
    """Write a Modelfile for a GGUF file that lies beside it.

    Args:
        model: The model folder that the GGUF file was made of.
        gguf_name: The file's name.
        adds_bos: What the file says in 'tokenizer.ggml.add_bos_token'.
        stop: Further texts that end an answer.
        num_ctx: Tokens of context; by default the model's, at most 8,192.
        system: The system prompt of every chat that brings none.

    Raises:
        ExportError: The file's name is no plain one ('name_unsafe'), or a text cannot be
            written in a Modelfile ('modelfile_quotes').
        TemplateError: The chat template cannot be read.
    """
    if not is_safe_name(gguf_name):
        raise ExportError("name_unsafe", f"'{gguf_name}' is no plain file name.",
                          "Use letters, digits, '.', '_' and '-'.")
    chat = read_chat_format(model)
    context = num_ctx or _context(model)
    lines = [f"FROM ./{gguf_name}"]
    if chat.name in TURNS:
        made = go_template(TURNS[chat.name], bos=chat.bos, eos=chat.eos, adds_bos=adds_bos)
        lines.append(f"TEMPLATE {_quoted(made)}")
    lines += [f"PARAMETER stop {_quoted(text)}" for text in dict.fromkeys((*chat.stops, *stop))]
    lines.append(f"PARAMETER num_ctx {context}")
    if system:
        lines.append(f"SYSTEM {_quoted(system)}")
    return Modelfile("\n\n".join(lines) + "\n", chat.name if chat.name in TURNS else "",
                     _notes(chat))


def write_modelfile(target: Path, made: Modelfile) -> Path:
    """Write 'Modelfile' into a folder and return its path.

    Raises:
        OSError: It cannot be written.
    """
    path = target / "Modelfile"
    write_atomic(path, made.text)
    return path


def _notes(chat: ChatFormat) -> list[str]:
    if chat.name not in TURNS:
        return ["The Modelfile has no TEMPLATE, because the model has a chat template of its own: "
                "Ollama reads the one in the GGUF file, and knows those of common models only. "
                "Compare `ollama show --template` with the model's before you rely on it."]
    return (["Tools are not in the TEMPLATE: Ollama answers requests with tools for this model by "
             "an error."] if chat.has_tools else [])


def _context(model: Path) -> int:
    config = read_json(model / "config.json") or {}
    inner = config.get("text_config") or config
    length = inner.get("max_position_embeddings")
    return min(int(length), _LONGEST_CONTEXT) if isinstance(length, int) else _LONGEST_CONTEXT


def _quoted(text: str) -> str:
    """Put a text in quotes as a Modelfile wants it.

    Raises:
        ExportError: It has three quotes in a row, or one at its end ('modelfile_quotes').
    """
    if '"""' in text or text.endswith('"'):
        raise ExportError("modelfile_quotes", "A Modelfile cannot hold a text that has three "
                          "quotes in a row, or one at its end.",
                          "Use other quotes in the system prompt or the stop word.")
    return f'"""{text}"""' if "\n" in text or '"' in text else f'"{text}"'
