"""A finished adapter as a folder of its own: weights, config, tokenizer, nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from trainer.contract.files import read_json, write_json
from trainer.contract.models import HUB_ID, TOKENIZER_FILES, read_adapter
from trainer.export.report import Report, size_of, whole_folder

_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def copy_adapter(adapter: Path, target: Path) -> Report:
    """Copy an adapter.

    Args:
        adapter: The folder of a finished adapter, or of a checkpoint.
        target: The folder to make.

    Raises:
        ModelError: It is not whole, or wants to run code.
        ExportError: The target exists ('target_exists').
        OSError: It cannot be written; nothing is left behind.
    """
    read_adapter(adapter)
    with whole_folder(target) as folder:
        for name in (*_ADAPTER, *TOKENIZER_FILES):
            if (adapter / name).is_file():
                shutil.copyfile(adapter / name, folder / name)
        notes = _name_base(folder / "adapter_config.json")
    return Report(target, size_of(target), notes)


def _name_base(path: Path) -> list[str]:
    """Leave no path of this machine in the config: of a local base only its name."""
    config = read_json(path)
    base = str(config.get("base_model_name_or_path") or "")
    if not Path(base).is_absolute() and HUB_ID.fullmatch(base):
        return []
    config["base_model_name_or_path"] = Path(base).name
    write_json(path, config)
    return [f"Its base is a folder of this machine ('{Path(base).name}'): whoever uses the adapter "
            "needs the same files, and names them."]
