import torch
from datasets import Dataset
from trl import RewardConfig, RewardTrainer


class Scored:
    """Pads a batch of pairs, all chosen answers first; both hold their prompt."""

    def __call__(self, rows):
        whole = [row["prompt_ids"] + row[side] for side in ("chosen_ids", "rejected_ids")
                 for row in rows]
        longest = max(map(len, whole))
        return {"input_ids": torch.tensor([ids + [tokenizer.pad_token_id] * (longest - len(ids))
                                           for ids in whole]),
                "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids))
                                                for ids in whole])}


class Trainer(InOrder, RewardTrainer):
    """TRL's RewardTrainer on pairs that are tokens."""


def train(rows, held, arguments):
    """Give the chosen answers the higher score."""
    model = load_model()
    settings = RewardConfig(**arguments, max_length=None, disable_dropout=NO_DROPOUT, **OBJECTIVE)
    trainer = Trainer(model=model, args=settings, train_dataset=Dataset.from_list(rows),
                      eval_dataset=Dataset.from_list(held) if held else None,
                      data_collator=Scored(), processing_class=tokenizer, peft_config=ADAPTER)
    return trainer
