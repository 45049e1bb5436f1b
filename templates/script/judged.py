def make_rows(sources):
    """Return rows with prompt_ids, completion_ids and label: whether the answer is desired."""
    rows = []
    for source in sources:
        for prompt, answer, label in (one for found in usable(source, verdicts_of)
                                      for one in found):
            ids, end = shorten(prompt, lambda turns: answered(turns, answer),  # noqa: B023
                               lambda found: len(found[0]) + len(found[1]) <= MAX_LENGTH)
            room = MAX_LENGTH - len(ids)
            if room <= 0 or (len(end) > room and OVERLONG == "drop"):
                continue
            rows.append({"prompt_ids": ids, "completion_ids": end[:room], "label": label})
    return rows


def verdicts_of(row, source):
    """Return [(prompt, answer, desired)]: one answer, or both of a pair."""
    if source["columns"].get("chosen"):
        prompt, chosen, rejected = pair_of(row, source)
        return [(prompt, chosen, True), (prompt, rejected, False)]
    turns = conversation_of(row, source)
    value = row[source["columns"]["kto_tag"]]
    return [(turns[:-1], turns[-1:], str(value).strip().lower() in ("true", "1", "yes"))]


def length_of(row):
    """Return how many tokens a row has."""
    return len(row["prompt_ids"]) + len(row["completion_ids"])
