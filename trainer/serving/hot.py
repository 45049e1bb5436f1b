"""Adapters that share one base: loaded beside each other, one in use at a time, or none."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.contract.files import read_json
from trainer.contract.models import PROMPT_KINDS, AdapterFacts, ModelError, read_adapter
from trainer.manifest import describe_base
from trainer.model import Base
from trainer.tuners.quiet import ignore_benign

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

# PEFT asks Transformers by an old name; the base is told that the layers are ours to put back.
_BENIGN = (".*is_gradient_checkpointing.*", ".*PEFT for a second time.*")
_MERGED = "Serve it as a model of its own: --model with the run's id merges it into its base."


@dataclass(frozen=True)
class Loaded:
    """An adapter in memory.

    ``key`` is PEFT's name of it, '' for virtual tokens, which are kept outside of the model:
    ``embeds`` (1, v, H), or keys and values of ``tokens`` virtual tokens as (layers, 2).
    """

    name: str
    folder: Path
    key: str = ""
    tokens: int = 0
    embeds: torch.Tensor | None = None
    past: tuple[tuple[torch.Tensor, torch.Tensor], ...] = ()


class HotAdapters:
    """Puts adapters on a model and takes them off; used by one thread only."""

    def __init__(self, model: Any, base: Base) -> None:
        """Keep Transformers' model, in eval mode, and where its files are."""
        self.model = model
        self._base = base
        self._peft: PeftModel | None = None
        self._keys: list[str] = []
        self._count = 0
        self._active = ""
        self._hashes: dict[str, str] | None = None

    def load(self, name: str, folder: Path) -> Loaded:
        """Load a finished adapter; it is not in use yet.

        Raises:
            ModelError: It is not whole, cannot share this base, or was trained on another.
        """
        facts = read_adapter(folder)
        self._require_sharing(facts)
        self._require_base(folder)
        with warnings.catch_warnings():
            ignore_benign()
            for message in _BENIGN:
                warnings.filterwarnings("ignore", message=message)
            try:
                return self._virtual(name, folder) if facts.kind in PROMPT_KINDS \
                    else self._laid_over(name, facts)
            except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
                if "out of memory" in str(error):
                    raise
                raise ModelError("adapter_load", f"The adapter '{name}' does not fit this base "
                                 f"model: {error}", "Serve it on the base it was trained on."
                                 ) from error

    def unload(self, adapter: Loaded) -> None:
        """Forget an adapter; the base is as it was when the last one goes."""
        if not adapter.key or self._peft is None:
            return
        self._keys.remove(adapter.key)
        if self._keys:
            # What is deleted must not be the active one.
            self._activate(self._keys[0])
            self._peft.delete_adapter(adapter.key)
            self._activate("")
        else:
            self.model = self._peft.unload()
            self._peft, self._active = None, ""

    def use(self, adapter: Loaded | None) -> None:
        """Let the model answer with an adapter, or as the bare base."""
        key = adapter.key if adapter else ""
        if self._peft is not None and key != self._active:
            self._activate(key)

    def _activate(self, key: str) -> None:
        """Switch an adapter on in every layer, or with '' all of them off."""
        assert self._peft is not None
        tuner: Any = self._peft.base_model
        if key:
            tuner.enable_adapter_layers()
            self._peft.set_adapter(key, inference_mode=True)
        else:
            tuner.disable_adapter_layers()
        self._active = key

    def _laid_over(self, name: str, facts: AdapterFacts) -> Loaded:
        """Load an adapter of weights beside those that are there."""
        from peft import PeftModel

        self._count += 1
        key = f"adapter_{self._count}"
        try:
            if self._peft is None:
                self._peft = PeftModel.from_pretrained(
                    self.model, str(facts.folder), adapter_name=key, local_files_only=True,
                    use_safetensors=True)
            else:
                self._peft.load_adapter(str(facts.folder), key, local_files_only=True)
        except BaseException:
            self._forget_half(key)
            raise
        self._keys.append(key)
        self._peft.eval().requires_grad_(False)
        # Layers that only the new one has are switched on until they are told otherwise.
        self._activate(self._active)
        return Loaded(name, facts.folder, key)

    def _forget_half(self, key: str) -> None:
        """Take off what a failed loading left in the model."""
        if self._peft is None:
            _strip(self.model)
        elif key in self._peft.peft_config:
            self._peft.delete_adapter(key)
            self._activate(self._active)

    def _virtual(self, name: str, folder: Path) -> Loaded:
        """Compute an adapter's virtual tokens once; the model itself stays as it is."""
        import torch
        from peft import PeftModel

        self.use(None)
        carrier = PeftModel.from_pretrained(self.model, str(folder), local_files_only=True,
                                            use_safetensors=True).eval()
        count = int(carrier.active_peft_config.num_virtual_tokens)
        with torch.inference_mode():
            prompt: Any = carrier.get_prompt(batch_size=1)
        if isinstance(prompt, torch.Tensor):
            return Loaded(name, folder, tokens=count, embeds=prompt)
        past = tuple((layer.keys, layer.values) for layer in prompt.layers)
        return Loaded(name, folder, tokens=count, past=past)

    def _require_sharing(self, facts: AdapterFacts) -> None:
        """Refuse what changes the base for others too, gives no words, or is of another method."""
        config, folder = facts.config, facts.folder
        if config.get("task_type") not in (None, "CAUSAL_LM"):
            raise ModelError("adapter_no_words", f"The adapter '{folder}' gives scores, not words.",
                             "Choose an adapter of a model that writes.")
        if config.get("bias", "none") != "none":
            raise ModelError("adapter_bias", f"The adapter '{folder}' trained biases of the base, "
                             "which cannot be switched off for others.", _MERGED)
        if facts.kind in PROMPT_KINDS or self._peft is None:
            return
        first: Any = next(iter(self._peft.peft_config.values()))
        loaded = str(first.peft_type.value)
        if loaded != facts.kind:
            raise ModelError("adapter_other_method", f"The adapter '{folder}' is {facts.kind}, and "
                             f"{loaded} is loaded: one base carries adapters of one method.",
                             f"Unload the others first. {_MERGED}")

    def _require_base(self, folder: Path) -> None:
        """Refuse an adapter whose run says that its base had other weights."""
        recorded = _recorded(folder)
        if recorded is None:
            return
        if self._hashes is None:
            self._hashes = describe_base(self._base)["sha256"]
        changed = sorted(name for name in {*recorded, *self._hashes}
                         if recorded.get(name) != self._hashes.get(name))
        if changed:
            raise ModelError("base_changed", f"The adapter '{folder}' was trained on another base "
                             f"than '{self._base.name}': {', '.join(changed)} differ.",
                             "Serve it on the base it was trained on, or train again.")


def _strip(model: Any) -> None:
    """Put the base's own layers back where an adapter stands before them."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    for path, module in list(model.named_modules()):
        above, _, name = path.rpartition(".")
        if isinstance(module, BaseTunerLayer):
            setattr(model.get_submodule(above), name, module.get_base_layer())
        elif isinstance(module, AuxiliaryTrainingWrapper):
            setattr(model.get_submodule(above), name, module.original_module)
    vars(model).pop("peft_config", None)


def _recorded(folder: Path) -> dict[str, str] | None:
    """Return the hashes of the base in the manifest of an adapter's run; None without a run."""
    for above in list(folder.resolve().parents)[:2]:
        manifest = read_json(above / "manifest.json")
        if isinstance(manifest, dict):
            found = (manifest.get("base") or {}).get("sha256")
            return dict(found) if isinstance(found, dict) else None
    return None
