"""``python -P -m trainer.data.children.worker``: reads data, renders templates, within limits.

JSON lines. The first one on standard input sets the limits, ``{"memory_mib", "files",
"render_s"}``. Then requests ``{"op", "params"}``, one at a time; to each there are any number of
``{"progress": {...}}`` and then one ``{"result": {...}}`` or ``{"error": {"kind", "code",
"message", "advice"}}`` on standard output. ``{"cancel": true}`` ends the work, tidily, at its next
word of progress. The process ends when standard input does, also in the middle of work. An error
that nobody planned for ends it as well: its parent tells.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Any

from trainer.data.children.operations import OPERATIONS
from trainer.data.reading.rows import DatasetError
from trainer.data.templates import limits
from trainer.data.templates.sandbox import TemplateError
from trainer.data.tokens import loaded

Document = dict[str, Any]


def main() -> int:
    """Answer until the input ends; whatever libraries print goes to standard error."""
    sys.excepthook = _end
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lines = sys.stdin.buffer
    first = json.loads(lines.readline() or b"{}")
    if not first:
        return 0
    limits.restrict(memory_mib=first["memory_mib"], files=first["files"])
    loaded.render_seconds = first["render_s"]
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    cancelled = threading.Event()
    threading.Thread(target=_read, args=(lines, requests, cancelled), daemon=True).start()

    def say(**values: Any) -> None:
        if cancelled.is_set():
            raise DatasetError("cancelled", "The work on the data was cancelled.")
        _write(out, {"progress": values})

    while True:
        request = json.loads(requests.get())
        cancelled.clear()
        _write(out, answer(request, say))


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell of an error that nobody planned for, and leave without waiting for the reader."""
    traceback.print_exception(kind, error, trace)
    sys.stderr.flush()
    os._exit(1)


def _read(lines: IO[bytes], requests: queue.SimpleQueue[bytes],
          cancelled: threading.Event) -> None:
    """Queue requests; leave at once when nobody is there any more."""
    for line in lines:
        if line.startswith(b'{"cancel"'):
            cancelled.set()
        else:
            requests.put(line)
    os._exit(0)


def _write(out: IO[str], document: Document) -> None:
    out.write(json.dumps(document) + "\n")
    out.flush()


def answer(request: Mapping[str, Any], say: Any) -> Document:
    """Do what one request asks; return its last line."""
    try:
        operation = OPERATIONS.get(request["op"])
        if operation is None:
            raise DatasetError("unknown_op", f"There is no operation '{request['op']}'.")
        return {"result": operation(request["params"], say)}
    except TemplateError as error:
        return _refusal("template", error)
    except DatasetError as error:
        return _refusal("dataset", error)
    except OSError as error:
        return _refusal("dataset", _io(error))
    except MemoryError:
        return _refusal("dataset", DatasetError(
            "worker_memory", "Reading the data needs more memory than it is allowed.",
            "Look for a row that is far too long, or use less data at once."))


def _io(error: OSError) -> DatasetError:
    return DatasetError("worker_io", f"A file cannot be read or written: {error}.",
                        "Look at the disk's free space and at the permissions.")


def _refusal(kind: str, error: TemplateError | DatasetError) -> Document:
    return {"error": {"kind": kind, "code": error.code, "message": error.message,
                      "advice": error.advice}}


if __name__ == "__main__":
    sys.exit(main())
