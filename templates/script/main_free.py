import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer


class NoReference(torch.nn.Module):
    """Stands where DPOTrainer would load a reference model that nobody asks."""

    def __init__(self, config):
        super().__init__()
        self.config = config


class Trainer(InOrder, DPOTrainer):
    """Pairs as DPO reads them, with a loss that needs no reference."""

    def __init__(self, *args, model, **kwargs):
        super().__init__(*args, model=model, ref_model=NoReference(model.config), **kwargs)
        self.ref_model = None

    def _compute_loss(self, model, inputs, return_outputs):
        mask = inputs["completion_mask"][:, 1:]
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"],
                       use_cache=False).logits[:, :-1].float()
        logps = logits.log_softmax(-1).gather(-1, inputs["input_ids"][:, 1:, None]).squeeze(-1)
        sums, counts = (logps * mask).sum(1), mask.sum(1).clamp(min=1)
        return preference_loss(*sums.chunk(2), *counts.chunk(2)).mean()


def train(rows, held, arguments):
    """Prefer the chosen answers without a reference model."""
    settings = DPOConfig(**arguments, max_length=None, disable_dropout=NO_DROPOUT)
    trainer = Trainer(model=load_model(), args=settings, train_dataset=Dataset.from_list(rows),
                      eval_dataset=Dataset.from_list(held) if held else None,
                      processing_class=tokenizer, peft_config=ADAPTER)
    return trainer
