"""What went wrong, in the words of a person: code, message, advice."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from trainer.contract.problems import ConfigError


class Failure(ValueError):
    """The run cannot go on; ``code`` is stable, the text says what happened and what to do."""

    def __init__(self, code: str, message: str, advice: str = "") -> None:
        """Keep the code and the advice beside the message."""
        super().__init__(message)
        self.code, self.message, self.advice = code, message, advice


@dataclass(frozen=True)
class Verdict:
    """What an exception means to a person; ``known`` is false when only a traceback explains."""

    code: str
    message: str
    advice: str = ""
    known: bool = True


_OOM_ADVICE = ("Use a smaller batch size with more gradient accumulation, a smaller maximum "
               "length, gradient checkpointing, or QLoRA (quantization 'nf4'); or free the GPU.")


_CALMER = ("Lower the learning rate, switch gradient clipping on (max_grad_norm 1), or take other "
           "numbers back to their defaults.")
# What PyTorch says (a part of its text), and what it means: (text, code, message, advice).
_OF_LIBRARIES = (
    ("probability tensor contains either", "nan_sampled",
     "No token can be drawn any more: the model's probabilities are no numbers.", _CALMER),
    ("algorithm failed to converge because the input", "nan_gradients",
     "A matrix cannot be decomposed: its numbers are no numbers any more.", _CALMER),
    ("CUBLAS_STATUS_ALLOC_FAILED", "cuda_oom", "The GPU has too little memory.", _OOM_ADVICE),
    ("index out of range in self", "index_beyond",
     "A token or a position lies outside the model's tables.",
     "Lower data.max_length, or use the tokenizer that belongs to the model."),
    ("no kernel image is available", "cuda_build",
     "This build of PyTorch does not know the GPU.",
     "Install a build of PyTorch for it, or set training.device to 'cpu'."),
)


def classify(error: BaseException) -> Verdict:
    """Say what an exception of the trainer means.

    Errors of our own carry ``code`` and ``advice`` (Failure, DatasetError, ModelError,
    TemplateError); the rest is told by type and text.
    """
    code = getattr(error, "code", None)
    if isinstance(error, ValueError) and isinstance(code, str):
        return Verdict(code, getattr(error, "message", str(error)), getattr(error, "advice", ""))
    if isinstance(error, ConfigError):
        return Verdict("config", str(error), "Correct the fields named above.")
    text = str(error)
    if type(error).__name__ == "OutOfMemoryError" or "CUDA out of memory" in text:
        return Verdict("cuda_oom", f"The GPU has too little memory: {text.splitlines()[0]}",
                       _OOM_ADVICE)
    if isinstance(error, MemoryError) or "DefaultCPUAllocator: can't allocate memory" in text:
        return Verdict("out_of_memory", "This machine has too little memory for the run.",
                       "Use a smaller batch size, a smaller maximum length or a smaller model.")
    if is_disk_full(error):
        return Verdict("disk_full", "The disk is full.", "Free some space, then resume the run.")
    if isinstance(error, FileNotFoundError):
        return Verdict("file_missing", f"A file is missing: {error.filename or text}",
                       "Check the path and that the file was not moved.")
    for part, code, message, advice in _OF_LIBRARIES:
        if part in text:
            return Verdict(code, message, advice)
    return Verdict("error", f"{type(error).__name__}: {text}".rstrip(": "),
                   "The traceback is at the end of the log.", known=False)


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error (also one of safetensors) means that no space was left."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left on device" in str(error)
