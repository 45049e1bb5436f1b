"""Special tokens that stand in a text: signs of rows that were already put into a template."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Of the models in use; `<|name|>` and `<｜name｜>` cover those of Llama 3, Qwen, Phi, DeepSeek...
_FORMS = (r"<\|[A-Za-z][A-Za-z0-9_]{0,60}\|>", r"<｜[^｜<>\n]{1,60}｜>")
_NAMES = ("<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>",
          "<end_of_turn>", "<bos>", "<eos>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
          "[AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[gMASK]", "<|im_start|>",
          "<|im_end|>", "<|endoftext|>")
_SHORTEST = 3


class SpecialTokens:
    """Finds special tokens in texts: well-known ones, and those of a given tokenizer."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        """Look for the well-known ones and for ``more``; very short ones are left out."""
        forms = re.compile("|".join(_FORMS))
        names = {name for name in (*_NAMES, *more)
                 if len(name) >= _SHORTEST and not forms.fullmatch(name)}
        listed = sorted(names, key=lambda name: (-len(name), name))
        self.pattern = re.compile("|".join((*_FORMS, *map(re.escape, listed))))
        # A text without any of these characters has no special token: that is quickly seen.
        self.signs = tuple(sorted({"<", *(name[0] for name in names)}))

    def find(self, text: str) -> str:
        """Return the first special token in a text, or ''."""
        found = self.pattern.search(text)
        return found.group() if found else ""
