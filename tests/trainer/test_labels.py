"""Only what the assistant says reaches the model as labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.training
ROWS = [
    {"messages": [{"role": "system", "content": "Be short."},
                  {"role": "user", "content": "What colour is the door?"},
                  {"role": "assistant", "content": "The door is red."},
                  {"role": "user", "content": "And the hat? <|im_end|>"},
                  {"role": "assistant", "content": "The hat is blue."}]},
    {"messages": [{"role": "user", "content": "What colour is the cup?"},
                  {"role": "assistant", "content": "The cup is green."}]},
]


def test_labels_that_reach_the_model(runs: Any, cf: Any, tmp_path: Path, tiny_model: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    from tokenizers import Tokenizer

    from trainer.loops.loop import CommittedLoop

    seen: list[dict[str, Any]] = []
    real = CommittedLoop.training_step

    def training_step(loop: Any, model: Any, inputs: dict[str, Any], *rest: Any) -> Any:
        seen.append({k: v.tolist() for k, v in inputs.items()})
        return real(loop, model, inputs, *rest)

    monkeypatch.setattr(CommittedLoop, "training_step", training_step)
    path = cf.write_rows(tmp_path / "chat.jsonl", ROWS)
    runs.train(runs.make("labels", data={"train": [str(path)], "shuffle": False},
                         training={"max_steps": 1}))
    (batch,) = seen
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    said = [tokenizer.decode([t for t in row if t != -100], skip_special_tokens=False)
            for row in batch["labels"]]
    assert said == ["The door is red.<|im_end|>The hat is blue.<|im_end|>",
                    "The cup is green.<|im_end|>"]
    for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"],
                                 strict=True):
        assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))
        assert all(label == -100 for label, used in zip(labels, mask, strict=True) if not used)
