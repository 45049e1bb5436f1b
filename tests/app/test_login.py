import pytest

from app.login import Brake, Login, TooManyFailures, read_cookie, safe_next

TOKEN = "a token of enough length"


class Clock:
    def __init__(self, now=1_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


def test_a_short_token_is_no_token():
    with pytest.raises(ValueError, match="at least 16"):
        Login("fifteen letters")


def test_the_token_and_only_the_token_is_accepted():
    login = Login(TOKEN)
    assert login.accepts(TOKEN, "a")
    assert not login.accepts(TOKEN + "x", "a")
    assert not login.accepts("", "a")
    assert not login.accepts("pässwort ☃", "a")


def test_a_session_does_not_hold_the_token():
    session = Login(TOKEN).session()
    assert TOKEN not in session
    assert Login(TOKEN).knows(session)


@pytest.mark.parametrize("session", [
    "", ".", "1.", "1.2", "x.y", "9" * 30 + ".00", "-1.00", "²." + "0" * 64, "1.\xe9",
])
def test_a_made_up_session_is_unknown(session):
    assert not Login(TOKEN).knows(session)


def test_another_servers_session_is_unknown():
    one, other = Login(TOKEN), Login("another token of length")
    assert not one.knows(other.session())
    assert one.cookie != other.cookie


def test_a_session_ends_after_thirty_days():
    clock = Clock()
    login = Login(TOKEN, clock=clock)
    session = login.session()
    clock.now += 29 * 86_400
    assert login.knows(session)
    clock.now += 2 * 86_400
    assert not login.knows(session)


def test_a_moved_issue_time_breaks_the_seal():
    issued, mac = Login(TOKEN).session().split(".")
    assert not Login(TOKEN).knows(f"{int(issued) + 1}.{mac}")


def test_guessing_is_slowed_down_for_that_client_alone():
    clock = Clock()
    login = Login(TOKEN, brake=Brake(limit=3, window_s=60, clock=clock))
    for _ in range(3):
        assert not login.accepts("wrong", "mallory")
    with pytest.raises(TooManyFailures) as refused:
        login.accepts(TOKEN, "mallory")
    assert 0 < refused.value.wait_s <= 60
    assert login.accepts(TOKEN, "alice")
    clock.now += 61
    assert login.accepts(TOKEN, "mallory")


def test_many_clients_together_are_slowed_down_too():
    brake = Brake(limit=3, total=20, clock=Clock())
    for number in range(20):
        brake.failed(f"client {number}")
    with pytest.raises(TooManyFailures):
        brake.check("one more")


def test_cookies_are_found_among_odd_neighbours():
    assert read_cookie('a={"x":1}; finestra=one; b', "finestra") == "one"
    assert read_cookie("xfinestra=one", "finestra") == ""


@pytest.mark.parametrize("path", [
    "//evil", "////evil", "/\\evil", "https:evil", "https://evil", "%2f%2fevil", "/%2fevil",
    "javascript:alert(1)", "\t//evil", "/train/../../evil", "", "/api/runs",
])
def test_every_other_target_becomes_the_start_page(path):
    assert safe_next(path, "r1") == "/"


def test_the_pages_are_targets():
    assert safe_next("/train") == "/train"
    assert safe_next("/run", "r-1") == "/run?id=r-1"
    assert safe_next("/run", "../x") == "/"
    assert safe_next("/run", "a&b=c") == "/"
