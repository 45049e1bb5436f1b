def render(messages, tools=None, generation=False):
    """Return a conversation as text."""
    return tokenizer.apply_chat_template(messages, tools=tools, chat_template=TEMPLATE,
                                         tokenize=False, add_generation_prompt=generation)


def encode(messages, tools=None):
    """Return the token ids of a conversation, and for each whether the assistant says it."""
    if "generation" in TEMPLATE and "endgeneration" in TEMPLATE:
        found = tokenizer.apply_chat_template(
            messages, tools=tools, chat_template=TEMPLATE, tokenize=True, return_dict=True,
            return_assistant_tokens_mask=True)
        return list(found["input_ids"]), [bool(said) for said in found["assistant_masks"]]
    text = render(messages, tools)
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    spans = []
    for place, message in enumerate(messages):
        if message["role"] == "assistant":
            before = render(messages[:place], tools, generation=True)
            until = render(messages[:place + 1], tools)
            if text.startswith(before) and text.startswith(until.rstrip("\n")):
                spans.append((len(before), len(until.rstrip("\n"))))
    said = [any(start <= a and b <= end and a < b for start, end in spans)
            for a, b in found["offset_mapping"]]
    return list(found["input_ids"]), said


def shorten(messages, make, is_short):
    """Leave out whole turns from the front until what ``make`` returns is short enough."""
    whole = make(messages)
    if is_short(whole) or OVERLONG == "drop":
        return whole
    head = [m for m in messages[:1] if m["role"] == "system"]
    starts = [i for i, m in enumerate(messages) if m["role"] == "user"]
    for start in starts[1:]:
        whole = make(head + messages[start:])
        if is_short(whole):
            break
    return whole


def last_run(said):
    """Return where the last answer begins and ends."""
    end = len(said)
    while end and not said[end - 1]:
        end -= 1
    start = end
    while start and said[start - 1]:
        start -= 1
    return start, end


def answered(prompt, answer):
    """Return the token ids of a prompt and of its answer."""
    ids, said = encode(prompt + answer)
    start, end = last_run(said)
    return ids[:start], ids[start:end]
