"""Settings by name: those that come with Finestra, and those that were saved."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from app.home import Home
from app.recordfile import RecordError, RecordFile
from trainer.contract.conversation import Settings

BUILT_IN: dict[str, dict[str, Any]] = {
    "precise": {"temperature": 0.2, "top_p": 0.9},
    "balanced": {"temperature": 0.7, "top_p": 0.95},
    "creative": {"temperature": 1.1, "top_p": 0.98, "min_p": 0.02},
    "same-every-time": {"temperature": 0.0, "seed": 0},
}
MAX_SAVED = 200
_NAME = re.compile(r"[^\x00-\x1f\x7f/]{1,60}")


class Presets:
    """The presets of a home."""

    def __init__(self, home: Home) -> None:
        """Look at nothing yet."""
        self._file = RecordFile(home, "chat_presets.json")

    def all(self) -> list[dict[str, Any]]:
        """Return those that come with Finestra, then the saved ones by name."""
        ours = [{"name": name, "label_key": f"chat.preset.{name}", "settings": _whole(values),
                 "builtin": True} for name, values in BUILT_IN.items()]
        saved = [{"name": one["name"], "label_key": "", "settings": _whole(one["settings"]),
                  "builtin": False} for one in self._file.read()]
        return ours + sorted(saved, key=lambda one: str(one["name"]).casefold())

    def save(self, name: str, settings: Settings, *, who: str) -> None:
        """Save settings under a name.

        Raises:
            RecordError: The name cannot be used, or there are too many.
        """
        self._require_free(name)
        with self._file.changing("save_preset", name, who) as records:
            records[:] = [one for one in records if one["name"] != name]
            if len(records) >= MAX_SAVED:
                raise RecordError("too_many_presets", f"There are {MAX_SAVED} presets.",
                                  "Delete some first.")
            records.append({"name": name, "settings": settings.given()})

    def delete(self, name: str, *, who: str) -> None:
        """Forget saved settings; RecordError when there are none of that name."""
        self._require_free(name)
        with self._file.changing("delete_preset", name, who) as records:
            kept = [one for one in records if one["name"] != name]
            if len(kept) == len(records):
                raise RecordError("unknown_preset", f"There is no preset '{name[:60]}'.")
            records[:] = kept

    @staticmethod
    def _require_free(name: str) -> None:
        if name in BUILT_IN:
            raise RecordError("builtin_preset", f"'{name}' comes with Finestra and stays as it "
                              "is.", "Choose another name.")
        if not _NAME.fullmatch(name) or name != name.strip():
            raise RecordError("preset_name", f"'{name[:60]}' cannot be a preset's name.",
                              "It has 1 to 60 characters, no '/', and begins and ends with none "
                              "that is blank.")


def _whole(values: dict[str, Any]) -> dict[str, Any]:
    try:
        return Settings.model_validate(values).model_dump()
    except ValidationError:
        raise RecordError("damaged_file", "'chat_presets.json' in the home folder cannot be read.",
                          "Restore it from a backup, or delete it and begin again.") from None
