"""Saved endpoints as a trainer reads them: from the home's file, keys not shown."""

import json

import pytest

from trainer.contract.problems import RecordError
from trainer.engines.endpoints import find_endpoint, read_endpoints

RECORD = {"name": "lab", "base_url": "http://10.0.0.5:8000/v1", "key": "sk-secret",
          "models": ["org/big", "small"], "created_at": 1.0, "created_by": "local"}


def test_without_a_file_there_are_none(tmp_path):
    assert read_endpoints(tmp_path) == []


def test_models_are_found_by_the_endpoints_name(tmp_path):
    (tmp_path / "endpoints.json").write_text(json.dumps([RECORD]))
    saved = read_endpoints(tmp_path)
    found = find_endpoint(saved, "lab/org/big")
    assert found is not None and found[0].base_url == RECORD["base_url"]
    assert found[1] == "org/big" and found[0].key == "sk-secret"
    assert find_endpoint(saved, "lab/other") is None and find_endpoint(saved, "lab") is None
    assert "sk-secret" not in repr(found) and "key" not in found[0].document()


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"name": "lab"}]', "no json"])
def test_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "endpoints.json").write_text(text)
    with pytest.raises(RecordError, match=r"endpoints\.json"):
        read_endpoints(tmp_path)
