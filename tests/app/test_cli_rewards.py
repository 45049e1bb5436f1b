"""``finestra rewards consent``: what it prints is what a config takes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from typer.testing import CliRunner

from app.cli import app
from trainer.contract.config import apply_overrides, parse
from trainer.contract.consent import reward_problems


def test_what_it_prints_lets_the_file_run_until_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "my reward.py"
    file.write_text("def reward(p, c, r): return [0.0] * len(c)")
    done = CliRunner().invoke(app, ["rewards", "consent", str(file)])
    assert done.exit_code == 0, done.output
    override = shlex.split(done.output.splitlines()[-1].strip())[0]
    config = parse(apply_overrides({"objective": "grpo"}, [override]))
    assert reward_problems(config) == []
    found = json.loads(CliRunner().invoke(app, ["rewards", "consent", str(file), "--json"]).stdout)
    assert found == {"name": "python", "path": str(file),
                     "sha256": config.rollout.rewards[0].sha256}
    file.write_text("def reward(p, c, r): return [1.0] * len(c)")
    problem = reward_problems(config)[0]
    assert (problem.code, problem.field) == ("reward_changed", "rollout.rewards.0.sha256")
    assert CliRunner().invoke(app, ["rewards", "consent", str(tmp_path / "no.py")]).exit_code == 2
