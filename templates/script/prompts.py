def make_rows(sources):
    """Return rows with the prompt as turns and the right answer as text."""
    rows = []
    for source in sources:
        for prompt, reference in usable(source, question_of):
            ids = tokenizer(render(prompt, generation=True), add_special_tokens=False)["input_ids"]
            if len(ids) <= MAX_LENGTH:
                rows.append({"prompt": render(prompt, generation=True), "reference": reference})
    return rows


def question_of(row, source):
    """Return (prompt, right answer) of a row."""
    columns = source["columns"]
    if source["kind"] == "prompt_only":
        prompt = (turns_of(row[columns["messages"]], source) if columns.get("messages")
                  else prompt_of(row, source))
        value = row.get(columns.get("reference"), "") if columns.get("reference") else ""
        return prompt, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    turns = conversation_of(row, source)
    while turns[-1]["role"] == "assistant":
        answer = turns.pop()["content"]
    return turns, answer


def length_of(row):
    """Return how long a prompt is."""
    return len(row["prompt"])
