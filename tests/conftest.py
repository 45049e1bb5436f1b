"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and references beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("there is no ../shared beside the checkout (real data and references)")
    return SHARED
