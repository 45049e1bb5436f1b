"""A user's own scores: a file with ``score(prompts, predictions, references) -> numbers``.

The file runs only as it was when somebody consented to it (its SHA-256), in a child process with
a clean environment and limits on time and memory; what runs is the text that was looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainer.contract.consent import read_consented
from trainer.failures import Failure
from trainer.sandbox.functions import Bounds, Broken, UserFunction
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Metric, Scores, mean

AT_ONCE = 1_000


class PythonFile(Metric):
    """The mean of what a function of a file returns; it may return None for a row."""

    name = "python"

    def __init__(self, *, path: str, sha256: str = "", bounds: Bounds | None = None) -> None:
        """Read the file once, and start nothing yet.

        Raises:
            Failure: The file cannot be read, nobody has consented to it, or it has changed since.
        """
        source = read_consented(path, sha256 or None, "metric")
        if not isinstance(source, bytes):
            raise Failure(source.code, source.message, source.advice)
        self._path, self._detail = path, f"{Path(path).name} {sha256[:12]}"
        self._function = UserFunction(Path(path), source, "score", bounds)

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``python``. The function is called with up to 1,000 rows at once.

        It is given the first reference of a row, '' where there is none.

        Raises:
            Failure: The function failed, took too long, or returned something else than numbers.
        """
        values: list[float | None] = []
        try:
            for start in range(0, len(predictions), AT_ONCE):
                values += self._some(predictions[start:start + AT_ONCE])
        finally:
            self._function.close()
        return [mean(self.name, predictions, values, detail=self._detail)]

    def _some(self, rows: Sequence[Prediction]) -> list[float | None]:
        try:
            return self._function.call([p.prompt for p in rows], [p.output for p in rows],
                                       [next(iter(p.references), "") for p in rows])
        except Broken as error:
            raise Failure("metric_time" if error.kind == "time" else "metric_function",
                          f"The metric of '{self._path}' failed at rows {rows[0].row} to "
                          f"{rows[-1].row}: {error.why}.",
                          "Mend the file and consent to it again; no answer is lost.") from None
