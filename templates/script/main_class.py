import torch
import transformers
from datasets import Dataset
from peft import get_peft_model


class Padded:
    """Pads a batch of texts."""

    def __call__(self, rows):
        longest = max(len(row["input_ids"]) for row in rows)
        pad = [longest - len(row["input_ids"]) for row in rows]
        return {"input_ids": torch.tensor([row["input_ids"] + [tokenizer.pad_token_id] * n
                                           for row, n in zip(rows, pad, strict=True)]),
                "attention_mask": torch.tensor([[1] * len(row["input_ids"]) + [0] * n
                                                for row, n in zip(rows, pad, strict=True)]),
                "labels": torch.tensor([row["labels"] for row in rows])}


class Trainer(InOrder, transformers.Trainer):
    """Transformers' Trainer in the order of the run."""


def train(rows, held, arguments):
    """Tell classes of text apart."""
    model = load_model()
    if ADAPTER is not None:
        model = get_peft_model(model, ADAPTER)
    trainer = Trainer(model=model, args=transformers.TrainingArguments(**arguments),
                      train_dataset=Dataset.from_list(rows),
                      eval_dataset=Dataset.from_list(held) if held else None,
                      data_collator=Padded(), processing_class=tokenizer)
    return trainer
