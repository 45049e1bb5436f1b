"""Names of runs and methods: an id that is safe in paths and says what it is."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata

from trainer.contract import RunConfig
from trainer.contract.kinds import AnyConfig, Other
from trainer.contract.kinds.export import ExportConfig
from trainer.contract.kinds.merge import MergeConfig


def slug(name: str, limit: int = 32) -> str:
    """Reduce a name to small letters, digits and dashes; '' when nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:limit].strip("-")


def new_run_id(name: str) -> str:
    """Make an id such as ``20261121-support-bot-3fa9c1``."""
    parts = (time.strftime("%Y%m%d"), slug(name) or "run", secrets.token_hex(3))
    return "-".join(parts)


def columns_of(config: AnyConfig) -> dict[str, str]:
    """Return what the index shows of a config; ``objective`` is the kind where nothing trains."""
    if isinstance(config, RunConfig):
        return {"name": config.name, "objective": config.objective,
                "model": config.model.name_or_path, "method": method_of(config),
                "wanted_device": config.training.device}
    model, method = _asked(config)
    return {"name": config.name, "objective": config.kind, "model": model, "method": method,
            "wanted_device": config.device}


def _asked(config: Other) -> tuple[str, str]:
    """Return (models, what is done with them)."""
    if isinstance(config, ExportConfig):
        return config.source, ", ".join(config.formats)
    if isinstance(config, MergeConfig):
        return ", ".join(source.name for source in config.sources), config.method
    asked = [use if isinstance(use, str) else use.name for use in config.data]
    return ", ".join(config.models), ", ".join([*asked, *config.benchmarks.tasks])


def method_of(config: RunConfig) -> str:
    """Name the method as people do: full, LoRA, QLoRA."""
    if config.tuner.type == "full":
        return "full"
    return "qlora" if config.model.quantization != "none" else "lora"
