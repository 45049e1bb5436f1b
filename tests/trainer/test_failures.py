"""What the libraries say, in the words of a person."""

import re

import pytest

from app.board.i18n import said
from trainer.failures import Failure, classify


@pytest.mark.parametrize(("error", "code"), [
    (RuntimeError("probability tensor contains either `inf`, `nan` or element < 0"),
     "nan_sampled"),
    (RuntimeError("linalg.svd: The algorithm failed to converge because the input matrix "
                  "contained non-finite values."), "nan_gradients"),
    (IndexError("index out of range in self"), "index_beyond"),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
     "cuda_oom"),
    (MemoryError(), "out_of_memory"), (OSError(28, "No space left on device"), "disk_full"),
    (Failure("nan_loss", "No number."), "nan_loss")])
def test_errors_of_libraries_have_a_name_and_an_advice(error: BaseException, code: str) -> None:
    found = classify(error)
    assert (found.code, found.known) == (code, True)
    assert found.advice or isinstance(error, Failure)
    message, _ = said("zh", found.code, found.message, found.advice)
    assert re.search("[\u4e00-\u9fff]", message)


def test_an_error_without_a_name_keeps_its_text() -> None:
    found = classify(KeyError("x"))
    assert (found.code, found.known) == ("error", False) and "KeyError" in found.message
