import csv
import io

import pytest

from app.api.files import to_csv


@pytest.mark.faults
def test_metrics_come_as_one_table(shelf):
    run_id = shelf.finished()
    answer = shelf.get(f"/api/runs/{run_id}/metrics.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["step"] for row in rows] == [str(n) for n in range(1, 11)]
    assert float(rows[0]["loss"]) == 1.0


def test_a_step_without_a_value_is_an_empty_cell():
    table = to_csv({"loss": [(1, 2.0), (2, None)], "eval_loss": [(2, 0.1)]})
    assert table == "step,eval_loss,loss\n1,,2.0\n2,0.1,\n"
    assert to_csv({}) == "step\n"


@pytest.mark.faults
def test_the_log_is_plain_text_without_secrets(rest, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-very-secret-value")
    run_id = rest.finished()
    log = next(rest.studio.dir(run_id).path.glob("attempts/*/log.txt"))
    with log.open("ab") as file:
        file.write(b"\n\x1b[31m<script>alert(1)</script>\x1b[0m a-very-secret-value \x00\xff\n")
    shown = rest.get(f"/api/runs/{run_id}/log")
    assert shown.headers["content-type"] == "text/plain; charset=utf-8"
    assert "<script>alert(1)</script> [secret]" in shown.text
    assert "\x1b" not in shown.text and "\x00" not in shown.text
    found = rest.get(f"/api/runs/{run_id}/log?search=SCRIPT").text
    assert "alert" in found and "step" not in found
    assert len(rest.get(f"/api/runs/{run_id}/log?max_bytes=20").text) <= 20
    whole = rest.get(f"/api/runs/{run_id}/log/download")
    assert whole.headers["content-disposition"] == f'attachment; filename="{run_id}-log.txt"'
    assert "===== attempt 1 =====" in whole.text and "step 10/10" in whole.text
    assert "a-very-secret-value" not in whole.text and "\x1b" not in whole.text


@pytest.mark.faults
def test_a_huge_log_without_line_ends_can_be_downloaded(rest, monkeypatch):
    monkeypatch.setenv("FAKE_SPAM_MB", "6")
    run_id = rest.finished()
    assert len(rest.get(f"/api/runs/{run_id}/log/download").content) > 5_000_000
    assert len(rest.get(f"/api/runs/{run_id}/log").content) <= 64_000


@pytest.mark.faults
def test_a_link_in_place_of_a_log_is_not_followed(rest, tmp_path):
    run_id = rest.finished()
    log = next(rest.studio.dir(run_id).path.glob("attempts/*/log.txt"))
    (tmp_path / "secret.txt").write_text("elsewhere")
    log.unlink()
    log.symlink_to(tmp_path / "secret.txt")
    assert "elsewhere" not in rest.get(f"/api/runs/{run_id}/log/download").text
