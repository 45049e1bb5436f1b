"""A trainer without torch: the same files, events, signals and exit codes; standard library only.

``python tests/fake_trainer.py RUN_DIR``. Knobs are environment variables: FAKE_STEPS, FAKE_SLEEP
(seconds a step), FAKE_SAVE_EVERY, FAKE_CRASH_AT (exit 1 at that step), FAKE_KILL_AT (SIGKILL),
FAKE_NAN_AT, FAKE_SPAM_MB (of log, no newline), FAKE_IGNORE_SIGTERM, FAKE_FORK_CHILDREN (one stays,
one leaves the session), FAKE_HANG_AT_EXIT, FAKE_HOLD (a file: wait at that step until it exists,
as STEP:PATH), FAKE_OOM_AT (torch's words for a full GPU).
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def knob(name, default=0.0):
    return float(os.environ.get(f"FAKE_{name}") or default)


class Fake:
    def __init__(self, run):
        self.run = run
        self.attempt = sorted((run / "attempts").iterdir())[-1]
        self.number = int(self.attempt.name)
        self.settings = json.loads((self.attempt / "attempt.json").read_text())
        self.events = (self.attempt / "events.jsonl").open("a", encoding="utf-8")
        self.seq, self.stop = 0, False
        self.steps = int(knob("STEPS", 10))

    def emit(self, kind, **values):
        self.seq += 1
        record = {"type": kind, "attempt": self.number, "seq": self.seq, "time": time.time(),
                  **values}
        self.events.write(json.dumps(record) + "\n")
        self.events.flush()

    def say(self, text):
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            pass  # a full disk under the log does not end a training

    def start_step(self):
        asked = self.settings["resume"]
        if asked == "none":
            return 0
        found = sorted(int(p.name.split("-")[1]) for p in (self.run / "checkpoints").glob("*-*")
                       if (p / "COMMITTED.json").exists()) or [0]
        return found[-1] if asked == "auto" else int(asked.split("-")[1])

    def save(self, step):
        folder = self.run / "checkpoints" / f"checkpoint-{step}"
        folder.mkdir(parents=True, exist_ok=True)
        raw = json.dumps({"step": step}).encode()
        (folder / "trainer_state.json").write_bytes(raw)
        entry = {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
        mark = {"version": 1, "step": step, "files": {"trainer_state.json": entry}}
        (folder / "COMMITTED.json").write_text(json.dumps(mark))
        self.emit("checkpoint", step=step, name=folder.name, size_bytes=len(raw))

    def end(self, outcome, **values):
        self.emit("end", outcome=outcome, **values)
        while knob("HANG_AT_EXIT"):
            time.sleep(0.05)
        sys.exit(1 if outcome == "failed" else 0)

    def at(self, step):
        if knob("KILL_AT") == step:
            os.kill(os.getpid(), signal.SIGKILL)
        if knob("CRASH_AT") == step:
            self.say("Traceback: the fake was told to crash\n")
            sys.exit(1)
        if knob("OOM_AT") == step:
            self.end("failed", code="cuda_oom", message="CUDA out of memory. Tried to allocate.",
                     advice="Use a smaller batch.")
        hold, _, path = os.environ.get("FAKE_HOLD", "").partition(":")
        while hold and int(hold) == step and not Path(path).exists() and not self.stop:
            time.sleep(0.01)

    def step(self, step):
        loss = None if knob("NAN_AT") == step else round(2 / (1 + step), 6)
        self.emit("metrics", step=step, total_steps=self.steps, eta_s=(self.steps - step) * 0.1,
                  values={"loss": loss, "learning_rate": 1e-4})
        if loss is None:
            self.emit("warning", code="nan_loss", message="The loss is not a number.", step=step)
        self.say(f"step {step}/{self.steps}\r")
        time.sleep(knob("SLEEP"))
        every = int(knob("SAVE_EVERY", 5))
        if self.stop or (every and step % every == 0) or step == self.steps:
            self.save(step)
        if self.stop:
            self.end("stopped")

    def work(self):
        start = self.start_step()
        self.emit("resume", step=start, checkpoint=f"checkpoint-{start}" if start else "")
        self.emit("stage", stage="training")
        self.emit("choice", field="model.dtype", value="float32", reason="this is a fake")
        for _ in range(int(knob("SPAM_MB"))):
            self.say("x" * 1_000_000)
        for step in range(start + 1, self.steps + 1):
            self.at(step)
            self.step(step)
        (self.run / "adapter").mkdir(exist_ok=True)
        self.emit("sample", step=self.steps, prompt="p", reference="r", output="o")
        self.end("completed", metrics={"train_loss": 0.5})


def main():
    fake = Fake(Path(sys.argv[1]))
    if knob("IGNORE_SIGTERM"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: setattr(fake, "stop", True))
    if knob("FORK_CHILDREN"):
        nap = [sys.executable, "-c", "import time; time.sleep(300)"]
        subprocess.Popen(nap)
        subprocess.Popen(nap, start_new_session=True)
    fake.work()


if __name__ == "__main__":
    main()
