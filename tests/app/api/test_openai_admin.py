"""/api/keys and /api/endpoints."""


def test_a_key_is_shown_once(rest):
    made = rest.post("/api/keys", json={"name": "laptop", "scopes": ["chat", "read"]})
    assert made.status_code == 201
    secret, identity = made.json()["key"], made.json()["id"]
    listed = rest.get("/api/keys")
    assert secret not in listed.text and "digest" not in listed.text
    assert [one["scopes"] for one in listed.json()["keys"]] == [["chat", "read"]]
    assert rest.delete(f"/api/keys/{identity}").status_code == 204
    again = rest.delete(f"/api/keys/{identity}")
    assert (again.status_code, again.json()["error"]["code"]) == (404, "unknown_key")
    assert rest.get("/api/keys").json()["keys"][0]["revoked_at"]


def test_endpoints_come_and_go_without_their_keys(rest):
    given = {"name": "lab", "base_url": "http://10.0.0.5:8000/v1", "models": ["m"],
             "key": "sk-very-secret-key"}
    made = rest.post("/api/endpoints", json=given)
    assert made.status_code == 201 and made.json()["has_key"]
    for answer in (made, rest.get("/api/endpoints"), rest.get("/v1/models")):
        assert "lab" in answer.text and "sk-very-secret-key" not in answer.text
    assert rest.post("/api/endpoints", json=given).status_code == 409
    assert rest.delete("/api/endpoints/lab").status_code == 204
    assert rest.delete("/api/endpoints/lab").status_code == 404
    assert "lab/m" not in rest.get("/v1/models").text


def test_what_cannot_be_saved_is_told_in_the_shape_of_rest(rest):
    for path, body, code in (
            ("/api/keys", {"name": "x", "scopes": ["root"]}, "bad_scope"),
            ("/api/keys", {"name": ""}, "bad_name"), ("/api/keys", {}, "missing"),
            ("/api/endpoints", {"name": "x", "base_url": "ftp://x/v1", "models": ["m"]},
             "bad_url")):
        answer = rest.post(path, json=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["code"] == code and answer.json()["error"]["advice"]
