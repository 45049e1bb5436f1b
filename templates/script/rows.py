import bz2
import csv
import gzip
import json
import lzma
from pathlib import Path


def open_text(path):
    """Open a text file, compressed or not."""
    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(Path(path).suffix, open)
    return opener(path, "rt", encoding="utf-8-sig", newline="")


def read_file(path):
    """Return the rows of a file: JSON lines, JSON, CSV, TSV, Parquet, Arrow or text."""
    endings = [ending.lower() for ending in Path(path).suffixes]
    if ".parquet" in endings or ".arrow" in endings:
        from datasets import load_dataset

        kind = "parquet" if ".parquet" in endings else "arrow"
        return list(load_dataset(kind, data_files=str(path), split="train"))
    with open_text(path) as file:
        if ".jsonl" in endings:
            return [json.loads(line) for line in file if line.strip()]
        if ".json" in endings:
            found = json.load(file)
            if isinstance(found, dict):
                found = next(value for value in found.values() if isinstance(value, list))
            return found
        if ".csv" in endings or ".tsv" in endings:
            return list(csv.DictReader(file, delimiter="\t" if ".tsv" in endings else ","))
        return [{"text": line.rstrip("\r\n")} for line in file if line.strip()]


def read_rows(source):
    """Return the rows of one dataset, its files one after the other."""
    if source.get("hub"):
        from datasets import load_dataset

        rows = list(load_dataset(source["hub"], source.get("subset"), split=source["split"],
                                 revision=source.get("revision")))
    else:
        rows = [row for path in source["files"] for row in read_file(path)]
    return rows[:source["max_samples"]] if source.get("max_samples") else rows


def text_of(row, column):
    """Return a column's text; a row without it cannot be learned from."""
    value = row.get(column) if column else None
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"no text in '{column}'")
    return value


def turns_of(value, source):
    """Return a list of turns as role and content, whatever the data call them."""
    turns = json.loads(value) if isinstance(value, str) else value
    found = []
    for turn in [turns] if isinstance(turns, dict) else turns:
        role_key = next((k for k in ("role", "from", "speaker") if k in turn), "role")
        text_key = next((k for k in ("content", "value", "text") if k in turn), "content")
        role = source["roles"].get(str(turn[role_key]))
        if role is None:
            raise ValueError(f"a turn of '{turn[role_key]}'")
        message = {"role": "assistant" if role == "call" else role,
                   "content": turn.get(text_key) or ""}
        if turn.get("tool_calls"):
            message["tool_calls"] = turn["tool_calls"]
        if role == "call":
            calls = json.loads(message["content"])
            message["tool_calls"] = [{"type": "function", "function": call} for call in
                                     (calls if isinstance(calls, list) else [calls])]
            message["content"] = ""
        found.append(message)
    return found


def prompt_of(row, source):
    """Return system prompt, earlier turns and the question of a row."""
    columns = source["columns"]
    system = row.get(columns.get("system")) if columns.get("system") else None
    head = [{"role": "system", "content": system}] if system else []
    value = row.get(columns.get("prompt"))
    if isinstance(value, list):
        return head + turns_of(value, source)
    query = row.get(columns.get("query")) if columns.get("query") else None
    asked = "\n".join(part for part in (value, query) if part)
    if not asked.strip():
        raise ValueError("no prompt")
    for before, after in row.get(columns.get("history")) or []:
        head += [{"role": "user", "content": before}, {"role": "assistant", "content": after}]
    return [*head, {"role": "user", "content": asked}]


def answer_of(value, source):
    """Return an answer, a text or turns, as turns."""
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("an empty answer")
        return [{"role": "assistant", "content": value}]
    return turns_of(value, source)


def conversation_of(row, source):
    """Return a row's whole conversation."""
    columns = source["columns"]
    if columns.get("messages"):
        turns = turns_of(row[columns["messages"]], source)
        system = row.get(columns.get("system")) if columns.get("system") else None
        if system and turns[0]["role"] != "system":
            turns = [{"role": "system", "content": system}, *turns]
        return turns
    if source["kind"] == "classification":
        names = ", ".join(source["classes"])
        asked = f"{source['instruction'] or names}\n\n{text_of(row, columns['prompt'])}"
        return [{"role": "user", "content": asked},
                {"role": "assistant", "content": class_of(row, source)}]
    return prompt_of(row, source) + answer_of(row[columns["response"]], source)


def class_of(row, source):
    """Return the name of a row's class; a number counts the names."""
    value = row[source["columns"]["label"]]
    if isinstance(value, int) and not isinstance(value, bool) and source["classes"]:
        return source["classes"][value]
    return str(value).strip()


def pair_of(row, source):
    """Return (prompt, chosen, rejected); without a prompt column it is what both begin with."""
    columns = source["columns"]
    chosen, rejected = row[columns["chosen"]], row[columns["rejected"]]
    if columns.get("messages"):
        prompt = turns_of(row[columns["messages"]], source)
    elif columns.get("prompt"):
        prompt = prompt_of(row, source)
    else:
        sides = [split_hh(side) if isinstance(side, str) else turns_of(side, source)
                 for side in (chosen, rejected)]
        shared = 0
        while shared < min(map(len, sides)) - 1 and sides[0][shared] == sides[1][shared]:
            shared += 1
        return sides[0][:shared], sides[0][shared:], sides[1][shared:]
    answers = []
    for side in (chosen, rejected):
        turns = answer_of(side, source)
        answers.append(turns[len(prompt):] if turns[:len(prompt)] == prompt else turns[-1:])
    return prompt, *answers


def split_hh(text):
    """Return the turns of a text with marks as in hh-rlhf."""
    turns = []
    for part in text.split("\n\nHuman:")[1:]:
        asked, *answers = part.split("\n\nAssistant:")
        turns.append({"role": "user", "content": asked.strip()})
        turns += [{"role": "assistant", "content": answer.strip()} for answer in answers]
    return turns


def usable(source, convert):
    """Yield what a function makes of each row; a row that cannot be used stops or is skipped."""
    for number, row in enumerate(read_rows(source), start=1):
        try:
            yield convert(row, source)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            if not SKIP_BAD_ROWS:
                raise SystemExit(f"Row {number} cannot be used: {error!r}") from None
