def make_rows(sources):
    """Return rows with input_ids and labels: -100 where nothing is learned."""
    rows = []
    for source in sources:
        for messages, tools in usable(source, lambda row, s: (conversation_of(row, s),
                                                              tools_of(row, s))):
            ids, said = shorten(messages, lambda turns: encode(turns, tools),  # noqa: B023
                                lambda found: len(found[0]) <= MAX_LENGTH)
            start = last_run(said)[0]
            if len(ids) > MAX_LENGTH and (OVERLONG == "drop" or start >= MAX_LENGTH):
                continue
            if MASK_HISTORY:
                said = [flag and place >= start for place, flag in enumerate(said)]
            if TRAIN_ON_PROMPT:
                said = [True] * len(ids)
            labels = [i if flag else -100 for i, flag in zip(ids, said, strict=True)]
            rows.append({"input_ids": ids[:MAX_LENGTH], "labels": labels[:MAX_LENGTH]})
    return rows


def tools_of(row, source):
    """Return the functions that a row's conversation may call."""
    tools = row.get(source["columns"].get("tools")) if source["columns"].get("tools") else None
    tools = json.loads(tools) if isinstance(tools, str) and tools.strip() else tools
    return [tool if "function" in tool else {"type": "function", "function": tool}
            for tool in tools] if tools else None


def length_of(row):
    """Return how many tokens a row has."""
    return len(row["input_ids"])
