import contextlib
import os
import signal

import pytest

from app.home import Home
from tests.app.serving.engines.desk import Desk, backend
from trainer.contract.identity import find_by_environ


@pytest.fixture
def desk(tmp_path):
    """A desk with one base and two runs on it; what still runs afterwards is killed."""
    desk = Desk(Home.open(tmp_path / "home"))
    base = desk.base()
    desk.add("one", base)
    desk.add("two", base)
    yield desk
    for process in find_by_environ({"FINESTRA_HOME": str(desk.home.root)}):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


@pytest.fixture
def serve(desk):
    """Make backends that are closed with the test."""
    made = []

    def make(**options):
        made.append(backend(desk, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
