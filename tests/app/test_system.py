"""What the System page and its routes are told."""

import json

import pytest

from app.board.i18n import LOCALES
from app.board.pages import _system_html
from app.devices import Device
from app.doctor import Check
from app.home import Home
from app.serving.engines.training import Conflict
from app.system import SystemDesk
from trainer.engines.errors import EngineError
from trainer.engines.kinds import Availability

RUNS = {"id": "e1", "kind": "transformers", "why": "", "model": "<starter>", "device": "cpu",
        "state": "ready", "answering": 2, "adapters": ["run-1"], "began_at": 1.0, "idle_s": 0.0,
        "pid": 1, "log": "/x", "exposed_ports": [29500]}
ENDED = {**RUNS, "id": "e0", "state": "ended", "answering": 0, "adapters": [], "exposed_ports": [],
         "error": "It was killed.", "last_lines": "Traceback <b>"}


class Engines:
    """Engines as a server has them; remembers what was asked of it."""

    def __init__(self):
        self.asked, self.looked = [], 0

    def kinds(self):
        self.looked += 1
        return [Availability("transformers", True),
                Availability("vllm", False, "There is no .venv-vllm.", "make vllm")]

    def status(self):
        return [RUNS, ENDED]

    def conflicts(self):
        return [Conflict("run-9", "e1", "starter", "GPU-1", True)]

    def unload(self, engine_id, *, force=False):
        if engine_id != "e1":
            raise EngineError("unknown_engine", "There is no such engine.")
        self.asked.append((engine_id, force))

    def restart(self, engine_id, *, force=False):
        return "e2"


@pytest.fixture
def desk(tmp_path):
    return SystemDesk(Home.open(tmp_path / "home"), Engines(),
                      look=lambda: [Check("python", True, "3.11"), Check("disk", False, "full",
                                                                         "Free some.")])


def test_what_takes_long_is_looked_at_once(desk):
    first, second = desk.engines_document(), desk.engines_document()
    assert desk.engines.looked == 1 and first == second
    assert [one["kind"] for one in first["kinds"]] == ["transformers", "vllm"]
    assert first["conflicts"][0]["run"] == "run-9" and json.dumps(first)
    assert [check.name for check in desk.checks()[0]] == ["python", "disk"]


def test_what_is_done_to_engines_is_written_down(desk):
    desk.unload("e1", force=True)
    assert desk.engines.asked == [("e1", True)]
    assert desk.restart("e1") == "e2"
    with pytest.raises(EngineError):
        desk.unload("e9")
    lines = desk.audit()
    assert [(one["action"], one["run"], one["ok"]) for one in lines] == [
        ("unload_engine", "e9", False), ("restart_engine", "e1", True),
        ("unload_engine", "e1", True)]


def test_a_torn_or_long_audit_log_is_read_from_its_end(desk):
    assert desk.audit() == []
    line = json.dumps({"action": "x", "detail": "y" * 200}) + "\n"
    desk.home.audit.write_text(line * 1000 + '{"action": "to', encoding="utf-8")
    found = desk.audit(10)
    assert len(found) == 9 and {one["action"] for one in found} == {"x"}


@pytest.mark.parametrize("locale", LOCALES)
def test_engines_are_shown_with_what_can_be_done(desk, locale):
    shown = _system_html.engines(locale, desk.engines_document())
    assert "&lt;starter&gt;" in shown and "<starter>" not in shown
    assert 'data-do="force:e1"' in shown and 'data-do="restart:e1"' in shown
    assert 'data-do="unload:e0"' not in shown and "It was killed." in shown
    assert "Traceback &lt;b&gt;" in shown and "29500" in shown and "run-9" in shown
    kinds = _system_html.kinds(locale, desk.engines_document()["kinds"])
    assert "make vllm" in kinds


@pytest.mark.parametrize("locale", LOCALES)
def test_keys_endpoints_checks_and_log_are_shown(desk, locale):
    key = {"id": "key_1", "name": "<laptop>", "scopes": ["chat"], "hint": "abcd", "created_at": 1.0,
           "created_by": "local", "last_used_at": None, "revoked_at": None}
    shown = _system_html.keys(locale, [{**key, "id": "key_0", "revoked_at": 2.0}, key])
    assert shown.count('data-do="ask-revoke:&lt;laptop&gt;"') == 1
    asked = _system_html.asking(locale, "revoke", "<laptop>")
    assert 'data-do="revoke:&lt;laptop&gt;"' in asked and "<laptop>" not in asked
    assert "&lt;laptop&gt;" in shown
    assert "sk-fst-secret" in _system_html.made_key(locale, "laptop", "sk-fst-secret")
    point = {"name": "ollama", "base_url": "http://127.0.0.1:1/v1", "models": ["a"],
             "has_key": True}
    assert 'data-do="ask-forget:ollama"' in _system_html.endpoints(locale, [point])
    checks = _system_html.checks(locale, desk.checks()[0])
    assert checks.index("disk") < checks.index("python") and "Free some." in checks
    desk.unload("e1")
    assert "unload engine" in _system_html.audit(locale, desk.audit())
    devices = _system_html.devices(locale, [Device("cpu", "CPU", 1000, 500, holder="run-1")])
    assert "./run?id=run-1" in devices


@pytest.mark.parametrize("locale", LOCALES)
def test_empty_parts_say_what_to_do(locale):
    nothing = {"engines": [], "kinds": [], "conflicts": []}
    for shown in (_system_html.engines(locale, nothing), _system_html.keys(locale, []),
                  _system_html.endpoints(locale, []), _system_html.audit(locale, [])):
        assert "f-quiet" in shown
