"""The yardstick: LLaMA-Factory's own tokenising, run by an interpreter that has it.

``PYTHON bench/llamafactory_tokenizing.py MODEL_FOLDER QUESTIONS.jsonl`` prints rows per second in
one process. The interpreter belongs to an environment of its own, with llamafactory 0.9.5.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(DISABLE_VERSION_CHECK="1", HF_HUB_OFFLINE="1")


def write_dataset(source: Path, folder: Path) -> None:
    """Write questions and answers in LLaMA-Factory's Alpaca form, with their registry."""
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    (folder / "rows.json").write_text(json.dumps(
        [{"instruction": row["question"], "input": "", "output": row["answer"]} for row in rows]))
    (folder / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))


def settings(model: str, folder: Path) -> dict[str, Any]:
    """Return its arguments: nothing is cut, one process, nothing cached."""
    return {"stage": "sft", "do_train": True, "finetuning_type": "lora", "template": "qwen",
            "model_name_or_path": model, "dataset": "rows", "dataset_dir": str(folder),
            "cutoff_len": 2048, "output_dir": str(folder / "out"), "overwrite_cache": True,
            "preprocessing_num_workers": 1, "bf16": False, "use_cpu": True}


def rows_per_second(model: str, source: Path, folder: Path) -> float:
    """Tokenise once; the time is that of its preprocessing step alone."""
    os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer, loader
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    write_dataset(source, folder)
    model_args, data_args, training_args, _, _ = get_train_args(settings(model, folder))
    module = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(module["tokenizer"], data_args)
    step, speeds = loader._get_preprocessed_dataset, []

    def timed(dataset: Any, *args: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        done = step(dataset, *args, **options)
        if dataset is not None:
            speeds.append(len(dataset) / (time.perf_counter() - begin))
        return done

    loader._get_preprocessed_dataset = timed
    get_dataset(template, model_args, data_args, training_args, stage="sft", **module)
    return speeds[0]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(f"rows/s {rows_per_second(sys.argv[1], Path(sys.argv[2]), Path(name)):.0f}")
