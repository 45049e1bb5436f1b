"""Datasets before tensors: registry, files, shapes, messages, checks; no torch, no transformers.

Its rooms, each of which knows only those before it: ``reading`` (files as rows), ``shapes`` (what
rows mean), ``checking`` (what is wrong with them), ``catalog`` (which datasets there are),
``templates`` (conversations as text), ``tokens`` (text as token ids), ``children`` (all of it in a
process of its own).
"""

from trainer.data.catalog.registry import Registry, load
from trainer.data.checking.check import DataReport, check, examples, shape_of
from trainer.data.reading.entry import DatasetEntry
from trainer.data.reading.readers import read
from trainer.data.reading.rows import DatasetError, Row, RowProblem
from trainer.data.reading.sources import DatasetSpec
from trainer.data.shapes.messages import Example, Message
from trainer.data.shapes.recognise import Shape, recognise

__all__ = ["DataReport", "DatasetEntry", "DatasetError", "DatasetSpec", "Example", "Message",
           "Registry", "Row", "RowProblem", "Shape", "check", "examples", "load",
           "read", "recognise", "shape_of"]
