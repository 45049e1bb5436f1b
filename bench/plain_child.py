"""``python -m bench.plain_child MODEL TOKENS``: answers a JSON list of questions one by one.

Plain Transformers, greedily, in float32; prints the seconds that all answers took.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from trainer.engines.guard import die_with_parent

WARM_UP = 4


def main(model: str, tokens: int) -> None:
    """Load, find out whether one thread or all are faster, then answer everything."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    texts = json.load(sys.stdin)

    def answer(text: str) -> None:
        prompt = tokenizer.apply_chat_template([{"role": "user", "content": text}],
                                               add_generation_prompt=True, return_tensors="pt",
                                               return_dict=True)
        made = loaded.generate(**prompt, do_sample=False, max_new_tokens=tokens,
                               min_new_tokens=tokens)
        assert made.shape[1] == prompt["input_ids"].shape[1] + tokens

    def took(some: list[str]) -> float:
        begin = time.perf_counter()
        for text in some:
            answer(text)
        return time.perf_counter() - begin

    def with_threads(count: int) -> float:
        torch.set_num_threads(count)
        return took(texts[:WARM_UP])

    took(texts[:1])
    torch.set_num_threads(min({1, torch.get_num_threads()}, key=with_threads))
    print(took(texts))


if __name__ == "__main__":
    die_with_parent()
    main(sys.argv[1], int(sys.argv[2]))
