"""The yardstick: LLaMA-Factory's own LoRA training, run by an interpreter that has it.

``PYTHON bench/llamafactory_training.py MODEL_FOLDER ROWS.jsonl`` trains on rows with ``question``
and ``answer`` in the order of the file and prints a line for each step that ended, with the Unix
time. The interpreter belongs to an environment of its own, with llamafactory 0.9.5.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(DISABLE_VERSION_CHECK="1", HF_HUB_OFFLINE="1")


def main(model: str, source: Path, folder: Path) -> None:
    """Train one epoch."""
    from llamafactory.train.tuner import run_exp
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: object, state: object, control: object,
                        **rest: object) -> None:
            print("step", state.global_step, time.time(), flush=True)  # type: ignore[attr-defined]

    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    (folder / "rows.json").write_text(json.dumps(
        [{"instruction": row["question"], "input": "", "output": row["answer"]} for row in rows]))
    (folder / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    run_exp({"stage": "sft", "do_train": True, "finetuning_type": "lora",
             "template": "qwen3_nothink", "model_name_or_path": model,
             "dataset": "rows", "dataset_dir": str(folder),
             "cutoff_len": 512, "output_dir": str(folder / "out"), "overwrite_cache": True,
             "lora_rank": 8, "lora_alpha": 16, "lora_target": "all", "lora_dropout": 0.0,
             "per_device_train_batch_size": 8, "num_train_epochs": 1, "learning_rate": 2e-4,
             "lr_scheduler_type": "cosine", "warmup_ratio": 0.03, "logging_steps": 1,
             "save_strategy": "no", "report_to": "none", "use_cpu": True, "bf16": False,
             "disable_gradient_checkpointing": True, "disable_shuffling": True,
             "preprocessing_num_workers": 1, "dataloader_num_workers": 0}, callbacks=[Clock()])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(sys.argv[1], Path(sys.argv[2]), Path(name))
