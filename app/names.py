"""Names of runs and methods: an id that is safe in paths and says what it is."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata

from trainer.contract import RunConfig


def slug(name: str, limit: int = 32) -> str:
    """Reduce a name to small letters, digits and dashes; '' when nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:limit].strip("-")


def new_run_id(name: str) -> str:
    """Make an id such as ``20261121-support-bot-3fa9c1``."""
    parts = (time.strftime("%Y%m%d"), slug(name) or "run", secrets.token_hex(3))
    return "-".join(parts)


def method_of(config: RunConfig) -> str:
    """Name the method as people do: full, LoRA, QLoRA."""
    if config.tuner.type == "full":
        return "full"
    return "qlora" if config.model.quantization != "none" else "lora"
