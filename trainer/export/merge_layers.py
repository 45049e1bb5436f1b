"""An adapter merged into a model folder module by module, by PEFT's own code.

The model is built with hollow weights: each is one zero, shown in the weight's shape. PEFT lays the
adapter over it as over any model. Then one adapted module after the other gets its real weights,
merges, is written and is hollow again. Weights that no adapter touches go from file to file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainer.export.merge_files import Reader
from trainer.tuners.quiet import ignore_benign

# A hollow weight and the names it has in the model, by its identity.
Origins = dict[int, tuple[nn.Parameter, list[str]]]
_ZERO = torch.zeros(())


class NotByLayers(Exception):
    """This adapter cannot be merged module by module; the text says why."""


@contextmanager
def _by_layers(what: str) -> Iterator[None]:
    """Name what PEFT refuses in a module; of a whole model it may be able to."""
    try:
        yield
    except (ValueError, RuntimeError, NotImplementedError, TypeError, AttributeError,
            KeyError) as error:
        raise NotByLayers(f"PEFT cannot {what}: {error}") from error


@dataclass(frozen=True)
class Laid:
    """An adapter over a hollow model.

    Attributes:
        model: The model inside of PEFT's.
        origins: The names of a hollow weight in the model, by its identity.
        groups: Paths of adapted modules; those that share a weight are one group.
        given: Weights that the adapter holds whole outside of such modules (trained biases).
        ends: Paths of the embeddings and of the head where the model ties them.
    """

    model: Any
    origins: Origins
    groups: list[list[str]]
    given: dict[str, torch.Tensor]
    ends: tuple[str, str] | None


def lay(config_folder: Path, adapter: Path) -> Laid:
    """Lay an adapter over the hollow model of a folder.

    Raises:
        ModelError: The adapter is not whole.
        NotByLayers: The model cannot be built so.
    """
    from trainer.adapters import check_adapter

    check_adapter(adapter)
    laid, origins, ends = _attach(config_folder, adapter)
    if not hasattr(laid.base_model, "_unload_and_optionally_merge"):
        raise NotByLayers(f"{type(laid.base_model).__name__} does not merge module by module")
    inner = laid.base_model.model
    if ends:
        _part(inner, ends, origins)
    given = {name: p.data for name, p in inner.named_parameters()
             if not is_hollow(p) and any(name in names for _, names in origins.values())}
    return Laid(inner, origins, _groups(inner, ends), given, ends)


def _attach(folder: Path, adapter: Path) -> tuple[Any, Origins, tuple[str, str] | None]:
    """Let PEFT lay an adapter over a folder's hollow model.

    Its way without memory for the adapter's first weights is tried before the other: it alone
    takes whole copies of modules; AdaLoRA alone cannot go it.
    """
    from peft import PeftModel

    for is_empty in (True, False):
        model, origins = hollow(folder)
        ends = _tied_ends(model)
        try:
            with warnings.catch_warnings(), _by_layers("be laid over a model without weights"):
                ignore_benign()
                laid = PeftModel.from_pretrained(
                    model, str(adapter), local_files_only=True, use_safetensors=True,
                    low_cpu_mem_usage=is_empty)
        except NotByLayers:
            if not is_empty:
                raise
        else:
            return laid, origins, ends
    raise AssertionError("one of both ways returns or raises")


def hollow(folder: Path) -> tuple[Any, Origins]:
    """Build a folder's model without memory for its weights; see ``Laid.origins``."""
    from transformers import AutoConfig

    from trainer.model import auto_class

    config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False,
                                        local_files_only=True)
    with torch.device("meta"):
        model: Any = auto_class(None).from_config(config, dtype=torch.float32,
                                                  trust_remote_code=False)
    model.tie_weights()
    made: dict[int, nn.Parameter] = {}
    origins: Origins = {}
    for path, module in model.named_modules():
        for key, old in list(module._parameters.items()):
            if old is None:
                continue
            new = made.setdefault(id(old), nn.Parameter(_ZERO.expand(old.shape),
                                                        requires_grad=False))
            module._parameters[key] = new
            origins.setdefault(id(new), (new, []))[1].append(f"{path}.{key}" if path else key)
    return model.eval(), origins


def is_hollow(tensor: torch.Tensor) -> bool:
    """Tell whether there are no real weights."""
    return tensor.is_meta or (tensor.untyped_storage().nbytes()
                              < tensor.numel() * tensor.element_size()
                              or tensor.data_ptr() == _ZERO.data_ptr())


def _tied_ends(model: Any) -> tuple[str, str] | None:
    ends = model.get_input_embeddings(), model.get_output_embeddings()
    if ends[1] is None or ends[0].weight is not ends[1].weight:
        return None
    paths = {id(module): path for path, module in model.named_modules()}
    return paths[id(ends[0])], paths[id(ends[1])]


def _part(model: Any, ends: tuple[str, str], origins: Origins) -> None:
    """Give a tied head a hollow weight of its own where merging needs it."""
    from trainer.adapters import tied_to_part

    found = tied_to_part(*(model.get_submodule(path) for path in ends))
    if found is None:
        return
    bottom, top = found
    top.weight = nn.Parameter(_ZERO.expand(bottom.weight.shape), requires_grad=False)
    origins[id(top.weight)] = (top.weight, [f"{ends[1]}.weight", f"{ends[0]}.weight"])


def _groups(model: Any, ends: tuple[str, str] | None) -> list[list[str]]:
    paths: list[str] = []
    for path, module in model.named_modules():
        inside = paths and path.startswith(paths[-1] + ".")
        if not inside and (hasattr(module, "unload_and_optionally_merge_module")
                           or hasattr(module, "base_layer")):
            paths.append(path)
    if not ends or not set(ends) & set(paths):
        return [[path] for path in paths]
    return [list(ends), *([path] for path in paths if path not in ends)]


class Merger:
    """Merges the groups of an adapter with the weights of a folder."""

    def __init__(self, laid: Laid, reader: Reader) -> None:
        """Find out which stored weights each group takes.

        Raises:
            NotByLayers: A weight is stored under another name or in another shape.
        """
        self.laid, self.reader = laid, reader
        self.adapted = 0
        self.is_parted = False
        self._prefix = str(getattr(laid.model, "base_model_prefix", ""))
        self.given = {self._stored([name]): tensor for name, tensor in laid.given.items()}
        self.group_of: dict[str, int] = {}
        for number, paths in enumerate(laid.groups):
            for _, names in self._weights(paths):
                self.group_of[self._stored(names)] = number

    def _weights(self, paths: list[str]) -> Iterator[tuple[nn.Parameter, list[str]]]:
        """Yield the hollow weights of modules, once each, with the names they may have."""
        wanted = tuple(f"{path}." for path in paths)
        for weight, names in self.laid.origins.values():
            if any(name.startswith(wanted) for name in names):
                yield weight, names

    def _stored(self, names: list[str]) -> str:
        for name in names:
            for guess in (name, name.removeprefix(f"{self._prefix}."), f"{self._prefix}.{name}"):
                if guess in self.reader.facts:
                    return guess
        raise NotByLayers(f"the base stores '{names[0]}' in another form than the model has it")

    def merge(self, number: int) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the names and merged weights (float32) of a group; its memory is free afterwards.

        Raises:
            NotByLayers: PEFT left a weight without numbers.
        """
        paths = self.laid.groups[number]
        filled = [weight for weight, names in self._weights(paths) if self._fill(weight, names)]
        with _by_layers("merge a module alone"):
            modules = {path: _unload(self.laid.model.get_submodule(path)) for path in paths}
        self.adapted += len(paths)
        try:
            yield from self._results(modules)
        finally:
            for weight in filled:
                weight.data = _ZERO.expand(weight.shape)
            for module in modules.values():
                for weight in module.parameters():
                    weight.data = _ZERO.expand(weight.shape)

    def _fill(self, weight: nn.Parameter, names: list[str]) -> bool:
        if not is_hollow(weight):
            return False
        stored = self._stored(names)
        if self.reader.facts[stored][0] != tuple(weight.shape):
            raise NotByLayers(f"the base stores '{stored}' in another shape than the model has it")
        weight.data = self.reader.get(stored).to(torch.float32, copy=True)
        return True

    def _results(self, modules: dict[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
        ends = self.laid.ends
        both = ends is not None and set(ends) <= set(modules)
        if both and ends:
            first, second = (modules[path].weight for path in ends)
            self.is_parted = first.data_ptr() != second.data_ptr()
        for path, module in modules.items():
            for key, weight in module.named_parameters():
                name = f"{path}.{key}"
                if is_hollow(weight):
                    raise NotByLayers(f"'{name}' has no numbers after merging")
                if not (ends and both and path == ends[1]):
                    yield self._stored([name]), weight.data
                elif self.is_parted or name in self.reader.facts:
                    yield name, weight.data


def _unload(module: Any) -> Any:
    """Merge a module and return what remains, as PEFT's ``merge_and_unload`` does."""
    if hasattr(module, "unload_and_optionally_merge_module"):
        return module.unload_and_optionally_merge_module(merge=True, safe_merge=False,
                                                         adapter_names=None)
    if hasattr(module, "base_layer"):
        module.merge()
        return module.get_base_layer()
    return module
