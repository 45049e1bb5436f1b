"""A short training on the starter; base and run answer one conversation through a real engine."""

import time

import pytest

from app.server import ServerSettings, create_app
from app.studio import Studio
from tests.app.api.conftest import Live
from tests.app.chats.conftest import Desk, Watch, shown

pytestmark = pytest.mark.serving
CONFIG = {
    "name": "short",
    "model": {"name_or_path": "starter"},
    "data": {"train": ["sample_instructions"], "max_samples": 16},
    "training": {"max_steps": 1, "device": "cpu", "eval_steps": None, "save_steps": None},
}
ASKED = "Who are you?"


def wait_for(condition, limit_s):
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.fixture
def desk(tmp_path):
    studio = Studio.open(tmp_path / "home")
    try:
        app = create_app(studio, ServerSettings(board=False, tick_s=0.05))
        with Live(app) as live:
            live.studio = studio
            desk = Desk(live)
            desk.engines = app.state.api.state.system.engines
            yield desk
            desk.client.close()
    finally:
        studio.close()


def ask(desk, chat):
    return ended(desk, desk.say(chat, ASKED))


def ended(desk, chat):
    """Wait for all answers, an engine's start on a machine that trains included."""
    with Watch(desk, chat["id"]) as watch:
        watch.until(lambda: not watch.active, 150)
    return desk.get(chat)


def state_of(watch, lane):
    (answer,) = [one for turn in watch.chat["turns"].values()
                 for name, found in turn["answers"].items() if name == lane for one in found]
    return answer["state"]


def engines(desk):
    return [engine for engine in desk.engines.status() if engine["state"] != "ended"]


def test_base_and_run_answer_and_stop_is_heard(desk):
    run_id = desk.studio.create(CONFIG).id
    settings = {"temperature": 0, "max_tokens": 12}
    alone = shown(ask(desk, desk.new("starter", settings=settings)), lane="starter")
    run = wait_for(lambda: (now := desk.studio.run(run_id)).state in {
        "completed", "failed", "interrupted"} and now, 180)
    assert run.state == "completed", f"{run.reason}\n{desk.studio.log_tail(run_id)}"

    chat = ask(desk, desk.new("starter", run_id, settings=settings))
    base, tuned = (shown(chat, lane=lane) for lane in ("starter", run_id))
    assert (base["state"], tuned["state"]) == ("done", "done") and tuned["content"]
    assert base["content"] == alone["content"], "what lies over the base does not change it"
    assert all(0 < one["stats"]["completion_tokens"] <= 12 for one in (base, tuned))
    again = ask(desk, desk.new("starter", run_id, settings=settings))
    assert [shown(again, lane=lane)["content"] for lane in ("starter", run_id)] == [
        base["content"], tuned["content"]]
    (engine,) = engines(desk)
    assert engine["adapters"] == [run_id]

    chat = desk.say(desk.new("starter", run_id, settings={
        "temperature": 1.5, "seed": 1, "max_tokens": 2_000}), ASKED)
    with Watch(desk, chat["id"]) as watch:
        watch.until(lambda: any(one["content"] for one in watch.answers()), 60)
    # Nobody watches any more; the answers go on until they are told to stop.
    assert any(one["state"] == "writing" for one in watch.answers())
    chat = desk.post(chat, "/stop")
    assert {shown(chat, lane=lane)["state"] for lane in ("starter", run_id)} == {"stopped"}
    wait_for(lambda: engines(desk)[0]["answering"] == 0, 20)
    assert [one["id"] for one in engines(desk)] == [engine["id"]], "it stays loaded"


def test_stop_while_the_model_is_loaded_asks_nothing(desk):
    chat = desk.say(desk.new("starter"), ASKED)
    with Watch(desk, chat["id"]) as watch:
        watch.until(lambda: state_of(watch, "starter") == "loading")
    chat = desk.post(chat, "/stop")
    answer = shown(chat, lane="starter")
    assert (answer["state"], answer["content"]) == ("stopped", "")
    wait_for(lambda: all(one["answering"] == 0 for one in engines(desk)), 60)
    desk.post(chat, f"/turns/{chat['leaf']}/answers", lane="starter")
    answer = shown(ended(desk, chat), lane="starter")
    assert answer["state"] == "done" and answer["content"], answer["error"]
