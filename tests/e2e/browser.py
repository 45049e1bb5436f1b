"""The system's Chromium, as every browser test, the screenshots and the benchmark start it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

NAMES = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
# Without these Chromium looks up its maker's hosts at every start.
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync")


def find() -> str:
    """Return the browser's path: $FINESTRA_CHROMIUM, else the system's.

    Raises:
        FileNotFoundError: There is none.
    """
    for name in filter(None, (os.environ.get("FINESTRA_CHROMIUM"), *NAMES)):
        if path := shutil.which(name):
            return path
    raise FileNotFoundError("No Chromium was found. Install the system package 'chromium', or "
                            "name another one in FINESTRA_CHROMIUM.")


def launch(playwright: Playwright) -> Browser:
    """Start it without a window."""
    return playwright.chromium.launch(executable_path=find(), args=list(ARGUMENTS))
