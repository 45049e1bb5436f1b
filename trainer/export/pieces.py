"""Writes the formats of an export, each where the export will have it.

``merged/``, ``adapter/``, ``gguf/NAME-q8_0.gguf``, ``fp8/`` ... What a format is made of - the
whole model, a larger GGUF file - is made once, beside, where it was not asked for itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trainer.contract.kinds.export import FORMATS, ExportConfig, Format
from trainer.export.errors import ExportError
from trainer.export.shelf import Shelf
from trainer.export.source import Source
from trainer.kinds.telling import Teller

if TYPE_CHECKING:
    from trainer.export.quantized import Quantized

Notes = list[str]
_NOTHING_LEARNED = "A base has learned nothing that could be merged or taken out of it."


@dataclass
class Writer:
    """Writes formats of one source; remembers what it has made."""

    source: Source
    config: ExportConfig
    shelf: Shelf
    tell: Teller
    _whole: Path | None = field(default=None)

    def write(self, name: Format) -> None:
        """Write one format and put it on the shelf.

        Raises:
            ExportError: It cannot be written; the modules of ``trainer.export`` have the reasons.
            ModelError: A folder is not whole.
            Failure: The base is not the one that the run was trained on.
        """
        writers: dict[str, Callable[[Format], tuple[Path, Notes]]] = {
            "merged": self._merged, "adapter": self._adapter, "gguf": self._gguf,
            "quantized": self._quantized, "onnx": self._onnx}
        path, notes = writers[FORMATS[name].family](name)
        self.shelf.add(name, path, notes)

    def place(self, name: Format) -> Path:
        """Return where a format ends up."""
        family = FORMATS[name].family
        if family == "gguf":
            kind = name.removeprefix("gguf-")
            return self.shelf.partial / "gguf" / f"{self.source.short}-{kind}.gguf"
        return self.shelf.partial / name

    def whole(self) -> Path:
        """Return the folder of the whole model; merge it first where that is still to be done."""
        if self._whole is None:
            self._whole = self._find_whole()
        return self._whole

    def _find_whole(self) -> Path:
        if "merged" in self.shelf.pieces:
            return self.shelf.partial / "merged"
        if self.source.adapter is None:
            return self.source.base
        target = self.shelf.scratch / "merged"
        if not target.is_dir():
            self._merge(target, "Merging the adapter into its base")
        return target

    def _merge(self, target: Path, message: str) -> Notes:
        from trainer.export.merge import merge_run
        from trainer.work import quiet_libraries

        quiet_libraries()
        assert self.source.run is not None
        self.tell.stage("merging", message)
        report = merge_run(
            self.source.run, target, self.source.checkpoint, dtype=self.config.dtype,
            shard_bytes=int(self.config.max_shard_size_gb * 1e9), progress=self.tell.bytes,
            cancelled=self.tell.unwanted)
        parted = ["The head has weights of its own now: only one end of the tied weights was "
                  "trained."] if report.parted else []
        return parted + ([] if report.streamed else [report.reason])

    def _merged(self, name: Format) -> tuple[Path, Notes]:
        if self.source.run is None:
            raise ExportError("nothing_to_merge", f"'{self.source.name}' is a base. "
                              f"{_NOTHING_LEARNED}", "Choose a run, or other formats.")
        target = self.place(name)
        notes = self._merge(target, "Merging")
        self._whole = target
        return target, notes

    def _adapter(self, name: Format) -> tuple[Path, Notes]:
        from trainer.export.adapter_copy import copy_adapter

        if self.source.adapter is None:
            raise ExportError("no_adapter", f"'{self.source.name}' has no adapter: its weights "
                              "are whole.", "Export it merged, or in another format.")
        self.tell.stage("saving", "Copying the adapter")
        report = copy_adapter(self.source.adapter, self.place(name))
        return report.path, report.notes

    def _gguf(self, name: Format) -> tuple[Path, Notes]:
        from trainer.export.kquants import convert_gguf, export_kquant

        kind: Any = name.removeprefix("gguf-")
        write = export_kquant if FORMATS[name].from_gguf else convert_gguf
        whole, target = self.whole(), self.place(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.tell.stage("converting", f"Writing GGUF, {kind}")
        report = write(whole, target, kind, name=self.source.short, progress=self.tell.bytes,
                       cancelled=self.tell.unwanted)
        return report.path, report.notes

    def _quantized(self, name: Format) -> tuple[Path, Notes]:
        from trainer.export.quantized import CALIBRATED, export_quantized

        whole, kind = self.whole(), cast("Quantized", name)
        texts = self._texts() if kind in CALIBRATED else None
        self.tell.stage("converting", f"Quantizing, {name}")
        report = export_quantized(whole, self.place(name), kind, texts=texts,
                                  progress=self.tell.bytes, cancelled=self.tell.unwanted)
        return report.path, report.notes

    def _texts(self) -> Path:
        """Return texts of the training data, for methods that look at some."""
        from trainer.export.calibration import write_texts

        if self.source.run is None:
            raise ExportError("texts_missing", "GPTQ and AWQ look at texts like those that the "
                              "model was trained on; a base has none here.",
                              "Choose fp8 or int8, which need none.")
        target = self.shelf.scratch / "texts.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        return write_texts(self.source.run.read_config(), self.whole(), target,
                           self.config.calibration_rows)

    def _onnx(self, name: Format) -> tuple[Path, Notes]:
        from trainer.export.onnx import export_onnx

        whole = self.whole()
        self.tell.stage("converting", "Writing ONNX")
        report = export_onnx(whole, self.place(name), progress=self.tell.bytes,
                             cancelled=self.tell.unwanted)
        return report.path, report.notes

    def extras(self) -> None:
        """Add what belongs beside the formats: Modelfile, model cards, the deployment folder."""
        if self.config.ollama and self.config.has("gguf"):
            self._modelfile()
        if self.config.deployment:
            self._deployment()
        if self.config.model_card and self.source.run is not None:
            self._cards()

    def _modelfile(self) -> None:
        from trainer.export.ollama import make_modelfile, write_modelfile

        first = next(each for each in self.config.formats if FORMATS[each].family == "gguf")
        made = make_modelfile(self.whole(), self.place(first).name,
                              adds_bos=adds_bos(self.place(first)))
        write_modelfile(self.shelf.partial / "gguf", made)
        self.shelf.add("ollama", self.shelf.partial / "gguf" / "Modelfile", made.notes)

    def _deployment(self) -> None:
        from trainer.export.deploy import write_deployment

        target = self.shelf.partial / "deployment"
        shutil.rmtree(target, ignore_errors=True)
        write_deployment(self.shelf.partial / "merged", target, name=self.source.short,
                         model_dir="../merged")
        self.shelf.add("deployment", target, [])

    def _cards(self) -> None:
        from trainer.contract.files import write_atomic
        from trainer.export.card import make_card

        assert self.source.run is not None
        for name in self.config.formats:
            family, place = FORMATS[name].family, self.place(name)
            folder = place.parent if family == "gguf" else place
            kind: Any = family if family in ("adapter", "gguf") else "merged"
            card = make_card(self.source.run, kind, base=self.source.base,
                             file=place.name if family == "gguf" else "")
            write_atomic(folder / "README.md", card)
            self.shelf.add(name, place, self.shelf.pieces[name]["notes"])
            if family == "gguf":
                self.shelf.add("card", folder / "README.md", [])


def adds_bos(path: Path) -> bool:
    """Tell whether programs put the first token before every text, by the file's own word."""
    from trainer.export.gguf_library import gguf_library

    found = gguf_library().GGUFReader(path).fields.get("tokenizer.ggml.add_bos_token")
    return bool(found.contents()) if found is not None else False
