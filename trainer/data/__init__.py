"""Datasets before tensors: registry, files, shapes, messages, checks; no torch, no transformers.

Chat templates and tokens are in ``trainer.data.chat`` and ``trainer.data.tokenize``.
"""

from trainer.data.check import DataReport, check, examples, shape_of
from trainer.data.entry import DatasetEntry
from trainer.data.messages import Example, Message
from trainer.data.readers import read
from trainer.data.registry import Registry, load
from trainer.data.rows import DatasetError, Row, RowProblem
from trainer.data.shapes import Shape, recognise
from trainer.data.sources import DatasetSpec

__all__ = ["DataReport", "DatasetEntry", "DatasetError", "DatasetSpec", "Example", "Message",
           "Registry", "Row", "RowProblem", "Shape", "check", "examples", "load",
           "read", "recognise", "shape_of"]
