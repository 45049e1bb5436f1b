import subprocess
import sys
from pathlib import Path

CODE = ("import sys, warnings\nfrom trainer.streams import forgive\nforgive()\nforgive()\n"
        "print('x' * 100_000, flush=True)\nprint('y', file=sys.stderr)\n"
        "assert sys.stdout.fileno() == 1 and sys.stdout.encoding\n"
        "open(sys.argv[1], 'w').write('went on')\n")


def test_f9_a_full_disk_under_the_log_does_not_stop_a_process(tmp_path):
    mark = tmp_path / "mark"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", CODE, str(mark)], stdout=full, stderr=full,
                              env={"PYTHONUNBUFFERED": "1"}, check=False)
    assert done.returncode == 0 and mark.read_text() == "went on"


def test_what_can_be_written_is_written():
    done = subprocess.run([sys.executable, "-c", CODE, "/dev/null"], capture_output=True,
                          text=True, check=True)
    assert done.stdout == "x" * 100_000 + "\n" and done.stderr == "y\n"
