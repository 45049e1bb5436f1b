import copy

from datasets import Dataset
from trl import KTOConfig, KTOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference


class Neighbours(DataCollatorForUnpairedPreference):
    """KTO asks how far answers to other prompts have moved: each gets its neighbour's."""

    def torch_call(self, examples):
        others = examples[-1:] + examples[:-1]
        return super().torch_call([{**row, "KL_completion_ids": other["completion_ids"]}
                                   for row, other in zip(examples, others, strict=True)])


class Trainer(InOrder, KTOTrainer):
    """TRL's KTOTrainer on answers that are tokens."""


def train(rows, held, arguments):
    """More of what is desired, less of the rest."""
    model = load_model()
    settings = KTOConfig(**arguments, max_length=None, disable_dropout=NO_DROPOUT, **OBJECTIVE)
    trainer = Trainer(model=model, ref_model=copy.deepcopy(model) if ADAPTER is None else None,
                      args=settings, train_dataset=Dataset.from_list(rows),
                      eval_dataset=Dataset.from_list(held) if held else None,
                      data_collator=Neighbours(tokenizer.pad_token_id, max_length=MAX_LENGTH),
                      processing_class=tokenizer, peft_config=ADAPTER)
    return trainer
