"""What tests of pages share."""

import pytest

from app.studio import Studio


@pytest.fixture
def studio(tmp_path, monkeypatch):
    """A studio over an empty home: nothing is started, no hub and no cache of one."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    opened = Studio.open(tmp_path / "home")
    opened.tick = lambda: None
    yield opened
    opened.close()
