"""The classes of labelled texts: which there are, and each row's as a number."""

from __future__ import annotations

from collections import Counter
from typing import Any

from trainer.context import Context
from trainer.data.reading.rows import listed
from trainer.data.shapes.classify import in_order
from trainer.failures import Failure
from trainer.tokens import Rows

LABEL = "label"


def find_classes(context: Context, rows: Rows) -> tuple[str, ...]:
    """Return the names of all classes: those of the config in their order, else of the data.

    Args:
        context: Told which classes were found.
        rows: All training rows, before some are taken to be measured.

    Raises:
        Failure: ``one_class``.
    """
    found = tuple(context.config.classification.labels)
    if not found:
        names = {name for one in rows.sets for name in one.table.unique(LABEL)}
        found = tuple(sorted(names, key=in_order))
        context.emit.choose("classification.labels", len(found),
                            f"the classes of the training data: {listed(list(found))}")
    if len(found) < 2:
        raise Failure("one_class", f"All {len(rows):,} training rows have the class "
                      f"'{found[0]}': there is nothing to tell apart.",
                      "Choose data with more classes, or another column as 'label'.")
    return found


def check_classes(context: Context, train: Rows, held: Rows) -> None:
    """Refuse measured rows of a class that the training data lack; warn of classes without rows.

    Raises:
        Failure: ``unseen_class``.
    """
    classes = train.classes
    seen, wanted = Counter(_names(train)), Counter(_names(held))
    unknown = sorted(set(wanted) - set(classes))
    if unknown:
        count = sum(wanted[name] for name in unknown)
        raise Failure("unseen_class", f"{count:,} of {len(held):,} evaluation rows have a class "
                      f"that no training row has: {listed(unknown)}. The classes are "
                      f"{listed(list(classes))}.",
                      "Correct the labels, or train on such rows as well.")
    if missing := [name for name in classes if name not in seen]:
        context.emit.warn("class_without_rows", f"No training row has the class "
                          f"{listed(missing)}: it cannot be learned.")


def numbered(table: Any, classes: tuple[str, ...]) -> Any:
    """Return a datasets.Dataset whose ``label`` is an int64, the place of its name in ``classes``.

    A name that is none of them becomes -1; ``check_classes`` lets none through.
    """
    import numpy as np

    place = {name: number for number, name in enumerate(classes)}
    values = np.array([place.get(name, -1) for name in table.data.column(LABEL).to_pylist()],
                      dtype=np.int64)
    return table.remove_columns(LABEL).add_column(LABEL, values)


def _names(rows: Rows) -> list[str]:
    return [str(name) for name in rows.numbers(LABEL)]
