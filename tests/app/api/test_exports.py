"""The files of an export over REST: only those, whole or in part."""

import pytest

from app.api.exports import find_file
from app.runs import RunError
from trainer.contract.rundir import RunDir

pytestmark = pytest.mark.faults
CONTENT = bytes(range(256)) * 8


@pytest.fixture
def exported(rest):
    """A run with a file in its export, a secret beside it, and links that lead there."""
    run_id = rest.start()
    rest.wait(run_id, "completed")
    folder = RunDir(rest.studio.run(run_id).dir).export
    (folder / "gguf").mkdir(parents=True)
    (folder / "gguf" / "a model.gguf").write_bytes(CONTENT)
    (folder / "gguf" / "link.gguf").symlink_to("/etc/passwd")
    (folder / "away").symlink_to(folder.parent)
    return run_id


def test_a_file_comes_whole_or_in_part(rest, exported):
    address = f"/api/runs/{exported}/export/gguf/a%20model.gguf"
    answer = rest.get(address)
    assert answer.status_code == 200 and answer.content == CONTENT
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    part = rest.get(address, headers={"range": "bytes=256-259"})
    assert part.status_code == 206 and part.content == CONTENT[256:260]
    assert rest.get(address, headers={"range": "bytes=-4"}).content == CONTENT[-4:]
    assert rest.get(address, headers={"range": "bytes=9999999-"}).status_code == 416


@pytest.mark.parametrize("path", [
    "", "gguf", "gguf/", "nothing", "gguf/link.gguf", "away/config.yaml", "../config.yaml",
    "%2e%2e/config.yaml", "gguf/..%2f..%2fconfig.yaml", "..%5cconfig.yaml", "/etc/passwd",
    "%2fetc%2fpasswd", "gguf//a%20model.gguf", "a%00b", "%0a", "x" * 1200])
def test_nothing_else_does(rest, exported, path):
    answer = rest.client.request("GET", f"/api/runs/{exported}/export/{path}")
    assert answer.status_code in (404, 405), answer.text[:200]
    assert b"model" not in answer.content[:20] and b"root:" not in answer.content


def test_a_run_without_an_export_has_no_files(rest, exported):
    other = rest.start()
    answer = rest.get(f"/api/runs/{other}/export/export.json")
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "unknown_file"
    assert rest.get("/api/runs/nothing/export/a").status_code == 404


@pytest.mark.parametrize("path", ["..", "a/../../b", "a\\b", "", "/", ".", "a\nb"])
def test_paths_that_lead_elsewhere_are_none(tmp_path, path):
    with pytest.raises(RunError) as raised:
        find_file(tmp_path, path)
    assert raised.value.code == "unknown_file"
