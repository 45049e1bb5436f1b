"""Keys: what is kept of them, what they open, what the command line prints."""

import json
import stat
import threading

import pytest

from app.apikeys import PREFIX, SCOPES, KeyRing, enough_scopes
from app.cli import main
from app.home import Home
from app.recordfile import RecordError
from trainer.contract.redact import redact


@pytest.fixture
def home(tmp_path):
    return Home.open(tmp_path / "home")


@pytest.fixture
def ring(home):
    return KeyRing(home)


def audit(home):
    return [json.loads(line) for line in home.audit.read_text().splitlines()]


def test_a_key_opens_until_it_is_revoked(ring):
    assert not ring.asked and ring.find("anything") is None
    key, secret = ring.create("laptop", ["read", "chat"])
    assert ring.asked and ring.find(secret) == key
    assert key.scopes == ("chat", "read")
    for wrong in ("", secret[:-1], secret + "x", key.digest, key.id, "\udcff", secret.upper()):
        assert ring.find(wrong) is None
    ring.revoke("laptop")
    assert ring.find(secret) is None and ring.all()[0].revoked_at


def test_revoking_the_last_key_opens_nothing(ring):
    key, _ = ring.create("laptop")
    ring.revoke(key.id)
    assert ring.asked
    with pytest.raises(RecordError, match="no key"):
        ring.revoke(key.id)
    assert ring.create("laptop")[0].id != key.id


def test_secrets_are_long_different_and_kept_nowhere(home, ring):
    made = [ring.create(f"key {number}")[1] for number in range(20)]
    assert len(set(made)) == 20 and all(len(one) == len(PREFIX) + 43 for one in made)
    ring.save_use(now=True)
    files = [path for path in home.root.rglob("*") if path.is_file()]
    for path in files:
        assert not [one for one in made if one.encode() in path.read_bytes()], path
    kept = home.root / "keys.json"
    assert kept in files and stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert made[0] not in redact(f"log: {made[0]}") and made[0] not in repr(ring.all())


def test_what_other_processes_change_is_seen_at_once(home, ring):
    other = KeyRing(home)
    key, secret = other.create("laptop")
    assert ring.find(secret) == key
    other.revoke(key.id)
    assert ring.find(secret) is None


def test_keys_made_at_the_same_time_are_all_kept(home):
    def make(number):
        KeyRing(home).create(f"key {number}")

    threads = [threading.Thread(target=make, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in KeyRing(home).all()} == {f"key {n}" for n in range(12)}


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"id": "x"}]', "[",
                                  '[{"id": 1, "scopes": 2}]'])
def test_a_damaged_file_opens_nothing(home, ring, text):
    (home.root / "keys.json").write_text(text)
    assert ring.asked and ring.find("anything") is None
    with pytest.raises(RecordError) as found:
        ring.create("laptop")
    assert found.value.code == "damaged_file"
    assert (home.root / "keys.json").read_text() == text


@pytest.mark.parametrize(("name", "scopes", "code"), [
    ("", ["chat"], "bad_name"), ("a\nb", ["chat"], "bad_name"), ("x" * 65, ["chat"], "bad_name"),
    ("taken", ["chat"], "key_exists"), ("new", [], "bad_scope"), ("new", ["root"], "bad_scope"),
])
def test_what_cannot_be_made_is_refused_and_noted(home, ring, name, scopes, code):
    ring.create("taken")
    with pytest.raises(RecordError) as found:
        ring.create(name, scopes, who="ana")
    assert found.value.code == code and len(ring.all()) == 1
    assert [(one["action"], one["ok"], one["who"]) for one in audit(home)] == [
        ("create_key", True, "local"), ("create_key", False, "ana")]


def test_the_last_use_is_written_now_and_then(home, ring):
    key, secret = ring.create("laptop")
    ring.find(secret)
    ring.save_use()
    assert KeyRing(home).documents()[0]["last_used_at"] is None
    ring.save_use(now=True)
    found = KeyRing(home).documents()[0]
    assert found["id"] == key.id and found["last_used_at"] >= key.created_at


@pytest.mark.parametrize(("method", "path", "scopes"), [
    ("POST", "/v1/chat/completions", {"chat"}), ("POST", "/v1/embeddings", {"chat"}),
    ("GET", "/v1/models", set(SCOPES)), ("POST", "/v1/models", {"chat"}),
    ("POST", "/v1/files", {"tuning"}), ("GET", "/v1/fine_tuning/jobs/x/events", {"tuning"}),
    ("GET", "/api/runs", {"read"}), ("HEAD", "/api/runs", {"read"}), ("POST", "/api/runs", set()),
    ("DELETE", "/api/runs/x", set()), ("GET", "/api/keys", set()),
    ("GET", "/api/endpoints", set()), ("GET", "/", set()), ("GET", "/gradio_api/info", set()),
    ("GET", "/v1", set()), ("GET", "/config", set()),
])
def test_scopes_open_no_more_than_they_say(method, path, scopes):
    assert enough_scopes(method, path) == scopes


@pytest.fixture
def finestra(home, monkeypatch, capfd):
    """Run a command as the console script does; return (status, out, err)."""
    monkeypatch.setenv("FINESTRA_HOME", str(home.root))
    monkeypatch.setenv("REMOTE_KEY", "sk-remote-remote-remote")

    def run(*words):
        monkeypatch.setattr("sys.argv", ["finestra", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return ended.value.code or 0, out, err

    return run


def test_the_command_line_makes_lists_and_revokes(finestra, ring):
    status, out, _ = finestra("keys", "create", "laptop", "--scope", "chat", "--scope",
                              "tuning", "--json")
    made = json.loads(out)
    assert status == 0 and ring.find(made["key"]).scopes == ("chat", "tuning")
    status, out, _ = finestra("keys", "list")
    assert status == 0 and made["id"] in out and made["key"] not in out
    status, _, err = finestra("keys", "revoke", "laptop")
    assert status == 0 and "nothing any more" in err
    status, out, _ = finestra("keys", "create", "x", "--scope", "root", "--json")
    assert status == 1 and json.loads(out)["error"]["code"] == "bad_scope"


def test_the_command_line_saves_endpoints_without_showing_keys(finestra, home):
    status, out, _ = finestra("endpoints", "add", "ollama", "http://127.0.0.1:11434/v1",
                              "--model", "qwen3:0.6b", "--key-from", "REMOTE_KEY", "--json")
    assert status == 0 and json.loads(out)["has_key"] and "sk-remote" not in out
    assert stat.S_IMODE((home.root / "endpoints.json").stat().st_mode) == 0o600
    status, out, _ = finestra("endpoints", "list")
    assert status == 0 and "qwen3:0.6b" in out and "sk-remote" not in out
    status, _, err = finestra("endpoints", "add", "x", "ftp://x/v1", "--model", "m")
    assert status == 1 and "no http or https address" in err
    status, _, _ = finestra("endpoints", "remove", "ollama")
    assert status == 0 and json.loads((home.root / "endpoints.json").read_text()) == []
    assert not [line for line in home.audit.read_text().splitlines() if "sk-remote" in line]
