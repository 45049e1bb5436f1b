from datasets import Dataset
from trl import SFTConfig, SFTTrainer


class Trainer(InOrder, SFTTrainer):
    """TRL's SFTTrainer on rows that are tokens."""


def train(rows, held, arguments):
    """Learn what the assistant says."""
    settings = SFTConfig(**arguments, max_length=None, packing=False,
                         dataset_kwargs={"skip_prepare_dataset": True}, **OBJECTIVE)
    trainer = Trainer(model=load_model(), args=settings, train_dataset=Dataset.from_list(rows),
                      eval_dataset=Dataset.from_list(held) if held else None,
                      processing_class=tokenizer, peft_config=ADAPTER)
    return trainer
