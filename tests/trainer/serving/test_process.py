"""The process: it listens, says where, wants its key, and ends with its standard input."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.serving


def start(folder: Path, model: Path | str, *more: str) -> subprocess.Popen[bytes]:
    """Start an engine; its log is FOLDER/log."""
    key = folder / "key"
    key.write_text("secret-of-this-test\n", encoding="utf-8")
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "trainer.serving", "--model", str(model), "--port-file",
             str(folder / "port"), "--key-file", str(key), *more], stdin=subprocess.PIPE,
            stdout=log, stderr=log, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])})


def log_of(folder: Path) -> str:
    return (folder / "log").read_text(encoding="utf-8", errors="replace")


def test_it_serves_until_its_input_ends(tmp_path: Path, tiny_model: Path,
                                        adapters: dict[str, Path]) -> None:
    process = start(tmp_path, tiny_model, "--lora", f"one={adapters['one']}", "--max-model-len",
                    "64", "--served-model-name", "tiny/base")
    try:
        until = time.monotonic() + 100
        while not (tmp_path / "port").exists() and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.05)
        port = int((tmp_path / "port").read_text())
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, headers={
                "Authorization": "Bearer secret-of-this-test"}) as client:
            cards = client.get("/v1/models").json()["data"]
            assert [(card["id"], card["max_model_len"]) for card in cards] == [
                ("tiny/base", 64), ("one", 64)]
            body: dict[str, Any] = {"prompt": "The", "max_tokens": 400, "ignore_eos": True}
            answer = client.post("/v1/completions", json=body).json()
            assert answer["usage"]["total_tokens"] == 64
            with client.stream("POST", "/v1/completions", json={**body, "stream": True}) as stream:
                lines = stream.iter_lines()
                assert next(lines).startswith("data: ")
                assert process.stdin
                process.stdin.close()
                list(lines)
        assert process.wait(20) == 0, log_of(tmp_path)
        assert "secret-of-this-test" not in log_of(tmp_path)
        assert stat.S_ISREG((tmp_path / "port").stat().st_mode)
    finally:
        process.kill()
        process.wait()


def test_why_it_cannot_serve_is_its_last_line(tmp_path: Path, tiny_model: Path) -> None:
    wanted = {"model_missing": (str(tmp_path / "none"),),
              "unknown_template": (str(tiny_model), "--template", "none.jinja")}
    for code, (model, *more) in wanted.items():
        process = start(tmp_path, model, *more)
        assert process.stdin
        assert process.wait(100) == 1
        process.stdin.close()
        assert log_of(tmp_path).splitlines()[-1].startswith(f"{code}: ")
        assert not (tmp_path / "port").exists()
