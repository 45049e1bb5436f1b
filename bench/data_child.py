"""One task on one file in a process of its own: ``python -m bench.data_child TASK FILE FOLDER``."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEGIN = time.perf_counter()
ROW = 1_000_000


def peak_bytes() -> int:
    """Return the highest resident set of this process, by Linux; 0 where it is not told."""
    status = Path("/proc/self/status")
    text = status.read_text(encoding="utf-8") if status.exists() else ""
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 0


def check(path: Path, folder: Path) -> dict[str, Any]:
    """Check as the studio does, keeping the report and the index; imports are not counted."""
    from trainer.data.catalog.registry import Registry
    from trainer.data.checking.reports import ReportStore

    spec = Registry(folder, None).resolve(str(path))
    begin, cpu = time.perf_counter(), time.process_time()
    report = ReportStore(folder).check(spec)
    return {"seconds": time.perf_counter() - begin,
            "cpu_seconds": time.process_time() - cpu, "rows": report.rows, "usable": report.usable,
            "duplicates": report.duplicates}


def look(path: Path, folder: Path) -> dict[str, Any]:
    """Look for the first time, imports counted."""
    from trainer.data.catalog.registry import Registry
    from trainer.data.checking.check import first_look

    report = first_look(Registry(folder, None).resolve(str(path)))
    assert report.usable and not report.complete
    return {"seconds": time.perf_counter() - BEGIN}


def row(path: Path, folder: Path) -> dict[str, Any]:
    """Read a row through the index that a check left behind; imports are not counted."""
    from trainer.data.catalog.registry import Registry
    from trainer.data.checking.reports import ReportStore
    from trainer.data.reading.readers import row_at
    from trainer.data.reading.rows import Row

    begin = time.perf_counter()
    spec = Registry(folder, None).resolve(str(path))
    index = ReportStore(folder).index_of(spec)
    found = row_at(spec, ROW, index)
    assert index is not None and isinstance(found, Row) and found.number == ROW
    return {"seconds": time.perf_counter() - begin}


def decode(path: Path, loads: Callable[[bytes], Any]) -> dict[str, Any]:
    """Only decode every line."""
    begin = time.process_time()
    with path.open("rb") as file:
        for line in file:
            loads(line)
    return {"cpu_seconds": time.process_time() - begin}


def main(task: str, path: Path, folder: Path) -> None:
    """Do the task and print what it took."""
    if task in ("orjson", "json"):
        import orjson

        result = decode(path, orjson.loads if task == "orjson" else json.loads)
    else:
        result = {"check": check, "look": look, "row": row}[task](path, folder)
    print(json.dumps({**result, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
