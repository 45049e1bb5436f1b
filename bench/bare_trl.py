"""The yardstick: LoRA with plain TRL, as a short script of one's own would do it.

``python bench/bare_trl.py MODEL_FOLDER ROWS.jsonl`` trains on rows with ``question`` and ``answer``
in the order of the file and prints a line for each step that ended, with the Unix time.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_NO_ADVISORY_WARNINGS="1")

from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer


class Clock(TrainerCallback):
    """Prints when each step ended."""

    def on_step_end(self, args: object, state: object, control: object, **rest: object) -> None:
        """Print the step's number and the time."""
        print("step", state.global_step, time.time(), flush=True)  # type: ignore[attr-defined]


def main(model: str, source: Path) -> None:
    """Train one epoch."""
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    data = Dataset.from_list([
        {"prompt": [{"role": "user", "content": row["question"]}],
         "completion": [{"role": "assistant", "content": row["answer"]}]} for row in rows])
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            output_dir=folder, num_train_epochs=1, per_device_train_batch_size=8,
            learning_rate=2e-4, lr_scheduler_type="cosine", warmup_steps=0.03, max_length=512,
            logging_steps=1, save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True,
            bf16=False, gradient_checkpointing=False, train_sampling_strategy="sequential",
            dataloader_pin_memory=False)
        trainer = SFTTrainer(model, args=arguments, train_dataset=data, callbacks=[Clock()],
                             peft_config=LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0,
                                                    target_modules="all-linear",
                                                    task_type="CAUSAL_LM"))
        trainer.train()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
