import subprocess
import sys
import tracemalloc

from tests.app.conftest import wait_for
from trainer.contract.logfile import LogCap, clean, last_lines, lines_with, read_tail


def test_a_log_is_text():
    raw = (b"\x1b[31mred\x1b[0m \x1b]0;title\x07a\0b\nstep 1\rstep 2\r\n"
           b"bad \xff\xfe bytes\n\x1b[2Kend")
    assert clean(raw) == "red ab\nstep 2\nbad \ufffd\ufffd bytes\nend"
    assert "\u202e" not in clean("\u202eevil".encode())
    assert clean(b"progress 9\r") == "progress 9"


def test_the_tail_begins_with_a_whole_line(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("".join(f"line {n}\n" for n in range(100)))
    assert read_tail(log, 20) == b"line 98\nline 99\n"
    assert read_tail(tmp_path / "none", 20) == b""
    assert last_lines(log, 2) == "line 98 | line 99"
    assert lines_with(["Loss 1", "x"], "loss") == ["Loss 1"]


def test_f20_a_huge_log_without_line_ends_costs_little(tmp_path):
    log = tmp_path / "log.txt"
    with log.open("wb") as file:
        file.seek(3_000_000_000)
        file.write(b"\r" + b"x" * 100_000)
    tracemalloc.start()
    assert len(clean(read_tail(log, 64_000))) == 64_000
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_long_log_is_cut_and_says_so_while_its_writer_goes_on(tmp_path):
    log = tmp_path / "log.txt"
    code = ("import sys, time\n"
            "for n in range(400): print('x' * 99, flush=True); time.sleep(0.001)\n"
            "sys.stdin.readline()\n"
            "print('the end')")
    cap = LogCap(log, cap_bytes=10_000, kept_bytes=2_000)
    with log.open("ab") as file:
        writer = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                                  stdout=file)
    wait_for(cap.check)
    writer.communicate(b"cut\n")
    assert writer.returncode == 0
    text = log.read_text()
    assert text.startswith("\n[Finestra: log truncated: ") and text.endswith("the end\n")
    assert len((tmp_path / "log.1.txt").read_bytes()) == 2_000
    assert "\0" not in text


def test_f9_when_the_disk_has_room_again_the_log_says_what_is_missing(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    cap = LogCap(log)
    for full in (False, True, True, False, False):
        cap.disk_full = full
    assert log.read_text().count("the disk was full") == 1


def test_a_missing_or_special_log_is_no_error(tmp_path):
    assert LogCap(tmp_path / "none").check() is False
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    cap = LogCap(link, cap_bytes=-1)
    assert cap.check() is False
    cap.disk_full = True
    cap.disk_full = False
