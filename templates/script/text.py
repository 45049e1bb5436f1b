def make_rows(sources):
    """Return blocks of MAX_LENGTH tokens of all texts, one after the other."""
    blocks = []
    for source in sources:
        rest = []
        for text in usable(source, lambda row, s: text_of(row, s["columns"]["prompt"])):
            rest += [*BEFORE, *tokenizer(text, add_special_tokens=False)["input_ids"], *AFTER]
        blocks += [rest[i:i + MAX_LENGTH] for i in range(0, len(rest), MAX_LENGTH)]
    return [{"input_ids": block, "labels": list(block)} for block in blocks]


def length_of(row):
    """Return how many tokens a row has."""
    return len(row["input_ids"])
