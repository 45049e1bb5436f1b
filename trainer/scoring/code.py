"""Whether the program that a model wrote passes its tests (pass@1).

As HumanEval and MBPP ask (Chen et al. 2021, arXiv:2107.03374; Austin et al. 2021,
arXiv:2108.07732): a row's references are test code, the program has to reach its end.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from trainer.failures import Failure
from trainer.sandbox.programs import MEMORY_MIB, SECONDS, Job, NoLock, NoTests, Ran, run
from trainer.scoring.predictions import Prediction
from trainer.scoring.scores import Metric, Scores, mean

MOST_AT_ONCE = 8
LONGEST = 100_000


class Code(Metric):
    """1 when the program in the answer passes all tests of its row, else 0."""

    name = "code"

    def __init__(self, *, consent: bool = False, timeout_s: float = SECONDS) -> None:
        """Say that programs may run, and how many seconds of processor time each has.

        Raises:
            Failure: Nobody has consented.
        """
        if not consent:
            raise Failure("code_consent", "The metric 'code' runs programs that a model has "
                          "written, and nobody has consented to it.",
                          "Set consent to true: they run in a sandbox, see docs/metrics.md.")
        self._seconds = timeout_s
        self._unformed: set[str] = set()

    def score(self, predictions: Sequence[Prediction]) -> list[Scores]:
        """Return ``pass``; rows without tests are left out. Up to eight run at once.

        Raises:
            Failure: The tests of a row are no tests, or this machine cannot lock programs in.
        """
        with ThreadPoolExecutor(min(MOST_AT_ONCE, os.cpu_count() or 1)) as pool:
            try:
                ran = list(pool.map(self._one, predictions))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        self._unformed.update(p.output for p, one in zip(predictions, ran, strict=True)
                              if one and not one.formed)
        return [mean("pass", predictions, [None if one is None else float(one.passed)
                                           for one in ran], share=True,
                     detail=f"{self._seconds:g} s, {MEMORY_MIB} MiB each")]

    def formed(self, prediction: Prediction) -> bool:
        """Tell whether the answer was Python when it was scored."""
        return prediction.output not in self._unformed

    def _one(self, prediction: Prediction) -> Ran | None:
        tests = "\n".join(prediction.right)
        if not tests:
            return None
        if len(prediction.output) > LONGEST:
            return Ran(False, formed=False)
        try:
            return run(Job(prediction.prompt, prediction.output, tests, self._seconds))
        except NoTests as error:
            raise Failure("metric_tests", f"Row {prediction.row} has a reference that is no test "
                          f"code: {error}.", "The metric 'code' needs assert lines, or a function "
                          "check(candidate).") from None
        except NoLock as error:
            raise Failure("metric_sandbox", f"Programs of a model do not run here: {error}.",
                          "Use Linux 5.13 or later on x86-64 or ARM64; a container has to allow "
                          "Landlock and seccomp.") from None
