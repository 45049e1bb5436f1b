def make_rows(sources):
    """Return rows with input_ids and the number of the class."""
    rows = []
    for source in sources:
        for text, name in usable(source, lambda row, s: (text_of(row, s["columns"]["prompt"]),
                                                         class_of(row, s))):
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            room = MAX_LENGTH - len(BEFORE) - len(AFTER)
            if len(ids) <= room or OVERLONG != "drop":
                rows.append({"input_ids": [*BEFORE, *ids[:room], *AFTER], "label": name})
    if not CLASSES:
        CLASSES.extend(sorted({row["label"] for row in rows}))
    return [{**row, "labels": CLASSES.index(row["label"])} for row in rows]


def length_of(row):
    """Return how many tokens a row has."""
    return len(row["input_ids"])
