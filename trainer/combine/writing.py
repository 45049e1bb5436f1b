"""The folder that a combination ends up in: whole, or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.combine.errors import CombineError
from trainer.contract.files import read_json
from trainer.contract.models import TOKENIZER_FILES
from trainer.export.report import require_space, whole_folder

# Configs and index beside weights and tokenizer.
_SPARE_BYTES = 1 << 20


@contextmanager
def whole(target: Path, weight_bytes: int, text: Path) -> Iterator[Path]:
    """Yield a folder 'NAME.partial' that becomes the target when the block is left well.

    Args:
        target: The folder to end up in.
        weight_bytes: How large its weights will be at most.
        text: The folder whose tokenizer's files it gets.

    Raises:
        CombineError: The target exists ('target_exists').
        ExportError: The disk has too little room ('disk_full').
        OSError: It cannot be written. Nothing is left behind after any of these.
    """
    if target.exists():
        raise CombineError("target_exists", f"There is a folder '{target.name}' already.",
                           "Delete it, or choose another name.")
    files = [text / name for name in TOKENIZER_FILES if (text / name).is_file()]
    require_space(target.parent, weight_bytes + _SPARE_BYTES
                  + sum(path.stat().st_size for path in files))
    with whole_folder(target) as partial:
        for path in files:
            shutil.copyfile(path, partial / path.name)
        yield partial


def chat_template(folder: Path) -> str | None:
    """Return the text of a folder's chat template, None where it has none."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    config = read_json(folder / "tokenizer_config.json")
    found = config.get("chat_template") if isinstance(config, dict) else None
    return found if isinstance(found, str) else None


def require_same_tokenizer(folders: dict[str, Path]) -> None:
    """Refuse folders whose tokenizers do not give the same tokens; one may be missing.

    Args:
        folders: By what they are called.

    Raises:
        CombineError: Two differ ('tokenizers_differ').
    """
    first: tuple[str, object] | None = None
    for label, folder in folders.items():
        stored = read_json(folder / "tokenizer.json")
        if not isinstance(stored, dict):
            continue
        # What is left out (padding, cutting) says nothing about which token means what.
        said = {key: stored.get(key) for key in ("model", "added_tokens", "normalizer",
                                                 "pre_tokenizer", "decoder")}
        if first is None:
            first = label, said
        elif first[1] != said:
            raise CombineError("tokenizers_differ", f"'{first[0]}' and '{label}' have different "
                               "tokenizers: the same token stands for other text in each.",
                               "Combine what was trained with one and the same tokenizer.")


def template_notes(folders: dict[str, Path]) -> list[str]:
    """Say whose chat template is taken where not all have the same one, and who differs."""
    texts = {label: chat_template(folder) for label, folder in folders.items()}
    ends = {label: (read_json(folder / "generation_config.json") or {}).get("eos_token_id")
            for label, folder in folders.items()}
    first = next(iter(folders))
    notes = []
    for what, found in (("chat template", texts), ("tokens that end an answer", ends)):
        others = [label for label in found if found[label] != found[first]]
        if others:
            names = ", ".join(f"'{label}'" for label in others)
            notes.append(f"The {what} of '{first}' is taken; {names} had another. What was learned "
                         "with that one may not come out with this one.")
    return notes
