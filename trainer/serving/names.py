"""The names that can be asked for: the base and its adapters."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from trainer.contract.models import ModelError
from trainer.data.reading.rows import DatasetError
from trainer.data.templates.sandbox import TemplateError
from trainer.serving.engine import Engine
from trainer.serving.failures import Refused
from trainer.serving.hot import Loaded
from trainer.serving.loading import Served
from trainer.serving.rendering import Rendering, Renderings


@dataclass(frozen=True)
class Voice:
    """A name, what answers to it, and how it is spoken to; ``root`` is where its files are."""

    name: str
    root: str
    rendering: Rendering
    created: int
    adapter: Loaded | None = None


class Names:
    """The served names; adapters come and go while others answer."""

    def __init__(self, engine: Engine, served: Served, renderings: Renderings, name: str) -> None:
        """Serve the base by a name."""
        self._engine, self._served, self._renderings = engine, served, renderings
        self._changes = threading.Lock()
        self.base = Voice(name, served.base.name, renderings.base, int(time.time()))
        self._adapters: dict[str, Voice] = {}

    def all(self) -> list[Voice]:
        """Return the base, then the adapters in the order in which they came."""
        return [self.base, *self._adapters.values()]

    def get(self, name: str) -> Voice:
        """Return what a request asks for; without a name the base.

        Raises:
            Refused: There is nothing of that name (404).
        """
        if name in ("", self.base.name):
            return self.base
        found = self._adapters.get(name)
        if found is None:
            known = ", ".join(voice.name for voice in self.all())
            raise Refused(f"The model '{name}' does not exist. There are: {known}.",
                          code="model_not_found", status=404, param="model")
        return found

    def add(self, name: str, folder: Path) -> Voice:
        """Load an adapter; blocks until it can be asked for.

        Raises:
            Refused: The name is taken, or the adapter cannot be served on this base.
        """
        with self._changes:
            if name == self.base.name or name in self._adapters:
                raise Refused(f"The name '{name}' is taken. Unload it first.",
                              code="adapter_loaded", param="lora_name")
            try:
                rendering = self._renderings.of_adapter(folder)
            except (ModelError, TemplateError, DatasetError) as error:
                raise Refused(f"{error} {error.advice}".strip(), code=error.code,
                              param="lora_path") from None
            adapters = self._served.adapters
            loaded = self._engine.do(lambda: adapters.load(name, folder)).result()
            voice = Voice(name, str(folder), rendering, int(time.time()), loaded)
            self._adapters = {**self._adapters, name: voice}
            return voice

    def remove(self, name: str) -> None:
        """Forget an adapter; answers that are being written are finished.

        Raises:
            Refused: There is none of that name (404).
        """
        with self._changes:
            voice = self._adapters.get(name)
            if voice is None or voice.adapter is None:
                raise Refused(f"The adapter '{name}' cannot be found.", code="adapter_not_found",
                              status=404, param="lora_name")
            self._adapters = {key: kept for key, kept in self._adapters.items() if key != name}
            self._engine.unload(voice.adapter).result()
