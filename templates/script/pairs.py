def make_rows(sources):
    """Return rows with prompt_ids, chosen_ids and rejected_ids."""
    rows = []
    for source in sources:
        for prompt, chosen, rejected in usable(source, pair_of):
            def both(turns, answers=(chosen, rejected)):
                return [answered(turns, answer) for answer in answers]

            pair = shorten(prompt, both, lambda found: max(
                len(a) + len(b) for a, b in found) <= MAX_LENGTH)
            asked, room = pair[0][0], MAX_LENGTH - len(pair[0][0])
            answers = [answer[:max(room, 0)] for _, answer in pair]
            cut = any(len(kept) < len(answer) for kept, (_, answer) in
                      zip(answers, pair, strict=True))
            if room <= 0 or answers[0] == answers[1] or (cut and OVERLONG == "drop"):
                continue
            rows.append({"prompt_ids": asked, "chosen_ids": answers[0],
                         "rejected_ids": answers[1]})
    return rows


def length_of(row):
    """Return how many tokens the longer conversation of a pair has."""
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
