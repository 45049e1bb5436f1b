"""Settings that do not fit this machine or this data, each as a Problem or None."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from app.devices import CPU, Device
from trainer.contract import Problem, RunConfig
from trainer.contract.plan import held_out

_LARGEST_CODE = 1_000_000
TRACKER_PACKAGES = {"swanlab": "swanlab"}


def split_problem(config: RunConfig, rows: int | None) -> Problem | None:
    """Refuse a validation split that leaves nothing to train on."""
    taken = config.data.val_size
    if rows is None or not (held := held_out(config, rows)) or held < rows:
        return None
    return Problem(field="data.val_size", code="split_takes_all",
                   message=f"A validation split of {taken:g} leaves none of the {rows:,} rows to "
                   "train on.", advice="Take a smaller split.",
                   params={"taken": f"{taken:g}", "rows": f"{rows:,}"})


def attention_problem(config: RunConfig, device: Device | None) -> Problem | None:
    """Refuse FlashAttention without a GPU or without its package."""
    if config.model.attn_implementation != "flash_attention_2" or device is None:
        return None
    if device.key != CPU and importlib.util.find_spec("flash_attn") is not None:
        return None
    lacks = "a GPU" if device.key == CPU else "the package 'flash-attn'"
    return Problem(field="model.attn_implementation", code="no_flash_attention", scope="machine",
                   message=f"FlashAttention needs {lacks}, which is not here.",
                   advice="Choose 'auto'.", params={"lacks": lacks})


def tracker_problems(config: RunConfig, key: str | None) -> Iterable[Problem]:
    """Name packages and the key that the chosen tracker lacks."""
    tracking = config.tracking
    package = TRACKER_PACKAGES.get(tracking.backend)
    if package is None:
        return
    if importlib.util.find_spec(package) is None:
        yield Problem(field="tracking.backend", code="tracker_missing", scope="machine",
                      message=f"The package '{package}' is not installed.",
                      advice=f"Run `pip install 'finestra[{package}]'`, or choose 'none'.",
                      params={"name": package})
    elif tracking.mode == "local" and importlib.util.find_spec("swanboard") is None:
        yield Problem(field="tracking.mode", code="tracker_missing", scope="machine",
                      message="The package 'swanboard' is not installed.",
                      advice="Run `pip install swanboard`, or choose 'offline'.",
                      params={"name": "swanboard"})
    if tracking.mode == "cloud" and not key:
        yield Problem(field="tracking.mode", code="tracker_key", scope="machine",
                      message="SwanLab's cloud needs an API key.",
                      advice="Set SWANLAB_API_KEY, or choose 'offline'.",
                      params={"name": "cloud"})


def misspelt_model(name: str, known: Iterable[str]) -> Problem | None:
    """Take a bare name that is nearly one of ours for a slip, not for a hub id."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)
    if "/" in name or not close:
        return None
    return Problem(field="model.name_or_path", code="model_misspelt",
                   message=f"There is no model '{name}' here.",
                   advice=f"Did you mean '{close[0]}'? A hub id reads owner/name.",
                   params={"name": name, "close": close[0]})


def consents(values: Mapping[str, Any], allowed: Callable[[str], bool]) -> dict[str, str]:
    """Return the fingerprint of each Python file that the rewards of a form name.

    Only of files that pages may name, so that nobody can ask for the fingerprints of others.
    """
    rollout = values.get("rollout")
    uses = rollout.get("rewards") if isinstance(rollout, Mapping) else None
    paths = [str(use.get("path") or "") for use in uses or []
             if isinstance(use, Mapping) and use.get("name") == "python"]
    return {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths
            if path.endswith(".py") and allowed(path) and Path(path).is_file()
            and Path(path).stat().st_size <= _LARGEST_CODE}
