import re

from datasets import Dataset
from trl import ROLLOUT_CONFIG, ROLLOUT_TRAINER


def last_number(text):
    """Return the last number of a text, None when there is none."""
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    return float(found[-1].replace(",", "")) if found else None


def exact_answer(completions, reference, pattern=None, **kwargs):
    """1 where the answer's last number, or its text, is the reference's."""
    scores = []
    for answer, right in zip(completions, reference, strict=True):
        if pattern and (found := re.search(pattern, answer, re.DOTALL)):
            answer = found[found.re.groups and 1]
        a, b = last_number(answer), last_number(right)
        same = a == b if b is not None else answer.strip().lower() == right.strip().lower()
        scores.append(float(same))
    return scores


def regex(completions, pattern, **kwargs):
    """1 where the pattern is found."""
    return [float(re.search(pattern, answer, re.DOTALL) is not None) for answer in completions]


def format_of(completions, pattern, **kwargs):
    """1 where the whole answer matches."""
    return [float(re.fullmatch(pattern, answer.strip(), re.DOTALL) is not None)
            for answer in completions]


def length(completions, target, **kwargs):
    """1 at the target length in tokens, less the farther away."""
    counts = [len(tokenizer(answer)["input_ids"]) for answer in completions]
    return [max(0.0, 1 - abs(count - target) / target) for count in counts]


def train(rows, held, arguments):
    """Sample answers, and learn from those that are rewarded above the others."""
    settings = ROLLOUT_CONFIG(**arguments, **OBJECTIVE)
    return ROLLOUT_TRAINER(model=load_model(), args=settings, reward_funcs=REWARDS,
                           train_dataset=Dataset.from_list(rows),
                           eval_dataset=Dataset.from_list(held) if held else None,
                           processing_class=tokenizer, peft_config=ADAPTER)
