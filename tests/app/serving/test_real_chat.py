"""The real engine: a short training on the starter, then a talk with both sides."""

import time

import pytest

from app.serving.chat import ChatService
from app.studio import Studio

CONFIG = {
    "name": "short",
    "model": {"name_or_path": "starter"},
    "data": {"train": ["sample_instructions"], "max_samples": 16},
    "training": {"max_steps": 1, "device": "cpu", "eval_steps": None, "save_steps": None},
}


@pytest.fixture
def finished(tmp_path):
    studio = Studio.open(tmp_path / "home")
    run = studio.create(CONFIG)
    deadline = time.monotonic() + 180
    while run.state not in {"completed", "failed", "interrupted"} and time.monotonic() < deadline:
        time.sleep(0.2)
        studio.ingest()
        studio.tick()
        run = studio.run(run.id)
    assert run.state == "completed", f"{run.reason}\n{studio.log_tail(run.id)}"
    yield studio, run.id
    studio.close()


@pytest.mark.serving
def test_base_and_tuned_answer_and_stop_is_heard(finished):
    studio, run_id = finished
    chat = ChatService(studio)
    try:
        asked = [{"role": "user", "content": "Who are you?"}]
        first = list(chat.ask(run_id, asked, max_new_tokens=12))
        assert [d.side for d in first if d.done] == ["base", "tuned"]
        words = {side: "".join(d.text for d in first if d.side == side)
                 for side in ("base", "tuned")}
        assert all(words.values())
        assert all(0 < d.stats["tokens"] <= 12 for d in first if d.done)
        again = list(chat.ask(run_id, asked, max_new_tokens=12))
        assert words == {side: "".join(d.text for d in again if d.side == side)
                         for side in ("base", "tuned")}
        long = chat.ask(run_id, asked, max_new_tokens=2_000, temperature=1.5)
        next(long)
        chat.cancel()
        assert list(long)[-1].done
        assert chat.loaded == run_id
    finally:
        chat.close()
