"""Settings that do not fit this machine or this data, each as a Problem.

Pure functions of a config and a device; preflight calls them. What a field needs of packages or of
CUDA is said here and nowhere else in the studio; what the trainer must know as well (rewards,
teachers) is in ``trainer.contract`` and called from preflight too.
"""

from __future__ import annotations

import difflib
import importlib.util
import math
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from app.choices import Choice
from app.devices import CPU, Device
from trainer.contract import Problem, RunConfig
from trainer.contract.config import all_fields
from trainer.contract.config.optimizers import PACKAGES
from trainer.contract.consent import LARGEST_FILE, digest
from trainer.contract.plan import held_out

_ATTENTION = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
_CUDA_ONLY = {"use_liger_kernel": "liger_kernel", "use_kernels": "kernels",
              "activation_offloading": "", "fp8": "torchao"}
_FP8 = (8, 9)
TRACKER_PACKAGES = {"swanlab": "swanlab"}
_METRIC_PACKAGES = {"rouge": "rouge_score", "bleu": "sacrebleu", "chrf": "sacrebleu"}


def split_problem(config: RunConfig, rows: int | None) -> Problem | None:
    """Refuse a validation split that leaves nothing to train on."""
    taken = config.data.val_size
    if rows is None or not (held := held_out(config, rows)) or held < rows:
        return None
    return Problem(field="data.val_size", code="split_takes_all",
                   message=f"A validation split of {taken:g} leaves none of the {rows:,} rows to "
                   "train on.", advice="Take a smaller split.",
                   params={"taken": f"{taken:g}", "rows": f"{rows:,}"})


def device_problems(config: RunConfig, device: Device | None) -> Iterator[Problem]:
    """Name what a config asks for and the device or its packages do not have."""
    training = config.training
    if device is None:
        return
    if (kind := config.model.attn_implementation) in _ATTENTION:
        package = _ATTENTION[kind]
        if device.key == CPU or not _installed(package):
            lacks = "a GPU" if device.key == CPU else f"the package '{package.replace('_', '-')}'"
            yield Problem(field="model.attn_implementation", code="no_flash_attention",
                          scope="machine", message=f"FlashAttention needs {lacks}, which is not "
                          "here.", advice="Choose 'auto'.", params={"lacks": lacks})
    if kind == "flex_attention" and device.key == CPU:
        yield Problem(field="model.attn_implementation", code="flex_attention_cpu",
                      scope="machine", message="FlexAttention has no backward pass on the CPU.",
                      advice="Choose 'auto'.")
    for name, package in _CUDA_ONLY.items():
        if not getattr(training, name):
            continue
        title = all_fields()[f"training.{name}"].title
        if device.key == CPU:
            yield Problem(field=f"training.{name}", code="needs_cuda", scope="machine",
                          message=f"'{title}' needs a CUDA device, and the run would train on "
                          f"{device.name}.", advice="Switch it off.",
                          params={"title": title, "device": device.name})
        elif package and not _installed(package):
            yield _lacks_package(f"training.{name}", title, package)
    if training.fp8 and device.capability and device.capability < _FP8:
        shown = ".".join(map(str, device.capability))
        yield Problem(field="training.fp8", code="fp8_capability", scope="machine",
                      message=f"fp8 needs compute capability 8.9; {device.name} has {shown}.",
                      advice="Switch it off.", params={"device": device.name, "shown": shown})
    yield from _compile_problems(config)
    package = PACKAGES.get(training.optim, "")
    if package and not _installed(package):
        yield _lacks_package("training.optim", training.optim, package)
    if config.model.quantization != "none" and not _installed("bitsandbytes"):
        yield _lacks_package("model.quantization", config.model.quantization, "bitsandbytes")
    for metric in config.evaluation.metrics:
        if (package := _METRIC_PACKAGES.get(metric, "")) and not _installed(package):
            yield _lacks_package("evaluation.metrics", metric, package)


def _compile_problems(config: RunConfig) -> Iterator[Problem]:
    """Name what torch.compile lacks to build its kernels, on the CPU and (for Triton) on CUDA."""
    if not config.training.torch_compile:
        return
    header = Path(sysconfig.get_path("include"), "Python.h")
    compilers = [os.environ.get("CXX", ""), "g++", "clang++"]
    if not any(name and shutil.which(name) for name in compilers):
        lacks = "a C++ compiler (g++)"
    elif not header.is_file():
        lacks = "Python's headers (Python.h)"
    else:
        return
    yield Problem(field="training.torch_compile", code="no_compiler", scope="machine",
                  message=f"torch.compile needs {lacks}, which is not here.",
                  advice="Install it, or switch compiling off.", params={"lacks": lacks})


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _lacks_package(where: str, title: str, package: str) -> Problem:
    shown = package.replace("_", "-")
    return Problem(field=where, code="package_missing", scope="machine",
                   message=f"'{title}' needs the package '{shown}', which is not installed.",
                   advice=f"Run: pip install {shown}; or choose something else.",
                   params={"title": title, "package": shown})


def answering(config: RunConfig, steps: int | None, held: int | None) -> Choice | None:
    """Tell how many answers are generated to be scored; None where there are none to count."""
    evaluation, training = config.evaluation, config.training
    if not evaluation.metrics or config.lr_finder.enabled or not steps or not held:
        return None
    rows = min(held, evaluation.limit or held)
    times = math.ceil(steps / (evaluation.generate_steps or training.eval_steps or steps))
    return Choice("evaluation.metrics", f"{rows * (times + 1):,} answers",
                  f"{rows:,} rows before training and {times:,} times while training, up to "
                  f"{evaluation.max_new_tokens:,} tokens each")


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
    return {path: digest(Path(path)) for path in paths
            if path.endswith(".py") and allowed(path) and Path(path).is_file()
            and Path(path).stat().st_size <= LARGEST_FILE}
