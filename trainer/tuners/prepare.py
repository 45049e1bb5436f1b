"""From a loaded base to a model that trains what the tuner section names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.contract.families import is_mixture, quantized_problems
from trainer.contract.targets import linear_shapes, target_names
from trainer.failures import Failure
from trainer.model import locate
from trainer.quantization import prepare_quantized
from trainer.tuners.attach import attach, freeze_first_factors, is_attached_here
from trainer.tuners.configs import peft_config
from trainer.tuners.freeze import freeze

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from trainer.checkpoint import Selected
    from trainer.context import Context
    from trainer.splits import Splits
    from trainer.workbench import Workbench


def make_trainable(model: PreTrainedModel, context: Context, bench: Workbench) -> Any:
    """Return the base ready to be trained, to carry an adapter, or carrying it.

    Raises:
        ValueError: The adapter to go on from is missing or of another method; what is to be
            trained does not exist; the stored weights are quantized and cannot be used as asked.
    """
    config = context.config
    for problem in quantized_problems(config, bench.base.facts):
        raise Failure(problem.code, problem.message, problem.advice)
    if config.model.quantization != "none" or getattr(model, "is_quantized", False):
        model = prepare_quantized(model, config)
    if config.tuner.type == "freeze":
        freeze(model, config.tuner, head=config.facts.head)
    if is_attached_here(config):
        return attach(model, peft_config(config, names=linear_names(context)), context, bench)
    return model


def linear_names(context: Context) -> list[str]:
    """Return the last names of the base's linear layers where PEFT needs them told.

    It chooses layers by number only among modules that are named, and of mixtures it would take
    the experts' parameters too.
    """
    tuner = context.config.tuner
    if not tuner.is_layered or target_names(tuner.target_modules):
        return []
    facts = locate(context.config.model, context.runs, lambda text: None).facts
    if not tuner.layers_to_transform and not is_mixture(facts):
        return []
    return sorted({module.rpartition(".")[2] for module in linear_shapes(facts)})


def finish_adapter(context: Context, loop: Any, splits: Splits, start: Selected) -> None:
    """Do what can be done only once TRL has attached the adapter: EVA, LoRA-FA, AdaLoRA."""
    tuner, model = context.config.tuner, loop.model
    if not tuner.is_adapter:
        return
    if tuner.type == "lora" and tuner.init_lora_weights == "eva" and not tuner.continue_from:
        _look_at_data(context, loop, splits, start)
    if tuner.type == "lora" and tuner.lora_fa:
        freeze_first_factors(model)
    if tuner.type == "adalora":
        from trainer.tuners.adalora import RankMover

        loop.add_callback(RankMover(model, start.path))


def _look_at_data(context: Context, loop: Any, splits: Splits, start: Selected) -> None:
    """Begin by EVA; a resumed run takes its matrices from the checkpoint."""
    from trainer.tuners.eva import begin_with_directions

    if start.path is not None:
        loop.model.peft_config["default"].init_lora_weights = True
        return
    context.emit.stage("loading", "Looking at the data for EVA")
    begin_with_directions(loop.model, splits.train.dataset,
                          batch_size=context.config.training.per_device_train_batch_size,
                          pad=loop.processing_class.pad_token_id)
