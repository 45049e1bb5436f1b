"""Loading a base model: safetensors only, no code of its own, no network but the hub's files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.contract.config import ModelConfig, RunConfig
from trainer.contract.models import ModelError, ModelFacts, ModelSource, read_folder, resolve_model
from trainer.failures import Failure
from trainer.precision import Precision, suited

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_WANTED = ["*.json", "*.safetensors", "*.txt", "*.jinja"]
_UNWANTED = ["original/*", "consolidated*", "*/*"]


@dataclass(frozen=True)
class Base:
    """The base model's files on this machine.

    ``name`` is what an adapter's config may say about its base: a hub id or the base's folder.
    """

    source: ModelSource
    folder: Path
    facts: ModelFacts

    @property
    def name(self) -> str:
        """Hub id, or the folder the user named."""
        return self.source.base


def locate(config: ModelConfig, runs: Path, say: Callable[[str], None]) -> Base:
    """Find (or fetch) the base model's folder and check it before any library sees it.

    Args:
        config: The model section of a run.
        runs: The folder that holds the runs, for names that are run ids.
        say: Told when something is fetched, which may take long.

    Raises:
        ModelError: It does not exist, is not whole, or wants to run code.
        Failure: It is on the hub and cannot be fetched.
    """
    source = resolve_model(config.name_or_path, runs, config.revision, config.adapters)
    folder = Path(source.base) if source.is_folder else _fetch(source, say)
    return Base(source, folder, read_folder(folder))


def _fetch(source: ModelSource, say: Callable[[str], None]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    say(f"Fetching {source.base} from the hub")
    try:
        return Path(snapshot_download(source.base, revision=source.revision,
                                      allow_patterns=_WANTED, ignore_patterns=_UNWANTED))
    except LocalEntryNotFoundError:
        raise Failure("hub_unreachable", f"'{source.base}' is not on this machine and the hub "
                      "cannot be reached.", "Connect to the network once, or name a local "
                      "folder; 'starter' needs no network.") from None
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "?")
        raise Failure("hub_refused", f"The hub did not give '{source.base}' (HTTP {status}).",
                      "Check its spelling and revision; for a gated model accept its licence "
                      "and set HF_TOKEN.") from None


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load a folder's tokenizer; its padding token falls back to the end token.

    Raises:
        ModelError: It has neither.
    """
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        str(folder), trust_remote_code=False, local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise ModelError("pad_token_missing", f"The tokenizer of '{folder}' has neither a padding "
                         "nor an end token.", "Set pad_token in its tokenizer_config.json.")
    return tokenizer


def load_model(base: Base, config: RunConfig, precision: Precision,
               labels: int | None = None) -> PreTrainedModel:
    """Load the base with earlier runs' adapters merged into it, quantized if asked.

    Merging into 4-bit weights would round them twice: with adapters to merge, the merged model
    is quantized instead. ``labels`` is how many scores a head in place of the words gives.

    Raises:
        ModelError: It cannot be loaded, or has no words where they are needed.
    """
    from trainer.adapters import merge_adapters
    from trainer.loops.heads import refuse_head
    from trainer.quantization import quantization_config

    if labels is None or base.source.adapters:
        refuse_head(base.source)
    precision = suited(precision, base.facts)
    quantized = quantization_config(config, precision.torch_dtype())
    if not base.source.adapters:
        return _load(base.folder, precision, quantized, labels)
    merged = merge_adapters(_load(base.folder, precision, None), base.source.adapters)
    if quantized is None and labels is None:
        return merged
    scratch = Path(tempfile.mkdtemp(prefix="finestra-merged-"))
    try:
        merged.save_pretrained(scratch)
        model = _load(scratch, precision, quantized, labels)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    model.name_or_path = model.config._name_or_path = str(base.folder)
    return model


def auto_class(labels: int | None) -> Any:
    """Return the class that loads a model with words, or with a head of scores."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    return AutoModelForCausalLM if labels is None else AutoModelForSequenceClassification


def _load(folder: Path, precision: Precision, quantized: Any,
          labels: int | None = None) -> PreTrainedModel:
    options: dict[str, Any] = {"dtype": precision.torch_dtype()}
    if labels is not None:
        options["num_labels"] = labels
    if precision.attention.value != "auto":
        options["attn_implementation"] = precision.attention.value
    if precision.kernels:
        options["use_kernels"] = True
    if quantized is not None:
        options |= {"quantization_config": quantized, "device_map": {"": precision.device.value}}
    try:
        model: PreTrainedModel = auto_class(labels).from_pretrained(
            str(folder), trust_remote_code=False, use_safetensors=True, local_files_only=True,
            **options)
    except (ValueError, ImportError, RuntimeError, KeyError) as error:
        if "out of memory" in str(error):
            raise
        raise ModelError("model_load", f"Transformers cannot load '{folder.name}': {error}",
                         "Check that the folder is whole and that this Transformers version "
                         "knows the architecture.") from error
    return model
