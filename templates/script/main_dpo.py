import copy

from datasets import Dataset
from trl import DPOConfig, DPOTrainer


class Trainer(InOrder, DPOTrainer):
    """TRL's DPOTrainer on pairs that are tokens."""


def train(rows, held, arguments):
    """Prefer the chosen answers; the reference is the model as it was."""
    model = load_model()
    settings = DPOConfig(**arguments, max_length=None, disable_dropout=NO_DROPOUT, **OBJECTIVE)
    trainer = Trainer(model=model, ref_model=copy.deepcopy(model) if ADAPTER is None else None,
                      args=settings, train_dataset=Dataset.from_list(rows),
                      eval_dataset=Dataset.from_list(held) if held else None,
                      processing_class=tokenizer, peft_config=ADAPTER)
    return trainer
