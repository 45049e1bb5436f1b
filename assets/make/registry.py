"""The registry entries of the sample datasets, in LLaMA-Factory's schema.

Where an entry has a `columns` object, every column that it does not name is null. `reference`,
`label` and what begins with `_` are ours: LLaMA-Factory does not read them.
"""

from __future__ import annotations

from typing import Any

from assets.make.tasks import CLASSES

ENTRIES: dict[str, dict[str, Any]] = {
    "sample_instructions": {"file_name": "sample_instructions.jsonl"},
    "sample_instructions_heldout": {"file_name": "sample_instructions_heldout.jsonl"},
    "sample_chat": {
        "file_name": "sample_chat.jsonl",
        "formatting": "openai",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    },
    "sample_preferences": {
        "file_name": "sample_preferences.jsonl",
        "ranking": True,
        "columns": {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
    },
    "sample_kto": {
        "file_name": "sample_kto.jsonl",
        "columns": {
            "prompt": "instruction",
            "query": "input",
            "response": "output",
            "kto_tag": "kto_tag",
        },
    },
    "sample_text": {"file_name": "sample_text.jsonl", "columns": {"prompt": "text"}},
    "sample_tools": {
        "file_name": "sample_tools.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "tools": "tools"},
        "tags": {
            "role_tag": "from",
            "content_tag": "value",
            "user_tag": "human",
            "assistant_tag": "gpt",
            "observation_tag": "observation",
            "function_tag": "function_call",
        },
    },
    "sample_questions": {
        "file_name": "sample_questions.jsonl",
        "columns": {"prompt": "prompt", "reference": "reference"},
        "_kind": "prompt_only",
    },
    "sample_classes": {
        "file_name": "sample_classes.jsonl",
        "columns": {"prompt": "text", "label": "label"},
        "_kind": "classification",
        "_classes": CLASSES,
    },
}
