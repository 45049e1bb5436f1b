"""The verbs that every recipe is made of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trainer.checkpoint import CheckpointKeeper, Selected
from trainer.context import Context
from trainer.contract.files import read_json
from trainer.failures import Failure
from trainer.model import load_model, load_tokenizer, locate
from trainer.precision import choose, find_gpu, suited
from trainer.workbench import Workbench

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from trainer.callbacks import Reporter
    from trainer.loops.loop import CommittedLoop
    from trainer.prompts import Template
    from trainer.splits import Splits

Metrics = dict[str, float | None]


def quiet_libraries() -> None:
    """Keep progress bars and notes to library developers out of a run's log."""
    import warnings

    from transformers.utils.logging import disable_progress_bar

    from trainer.tuners.quiet import ignore_benign

    disable_progress_bar()
    ignore_benign()
    warnings.filterwarnings("ignore", category=FutureWarning,
                            module=r"(transformers|trl|peft|accelerate|torch|bitsandbytes)\b")
    warnings.filterwarnings("ignore", message="Setting `save_embedding_layers`")


def set_up(context: Context) -> Workbench:
    """Find the base model, choose device and number formats, load the tokenizer."""
    quiet_libraries()
    context.emit.stage("loading", "Looking at the base model")
    if threads := context.config.data.preprocessing_num_workers:
        os.environ["RAYON_NUM_THREADS"] = str(threads)
    base = locate(context.config.model, context.runs,
                  lambda text: context.emit.stage("loading", text))
    precision = suited(choose(context.config, context.device, find_gpu()), base.facts)
    context.emit.choose("training.device", *precision.device)
    context.emit.choose("model.dtype", *precision.compute)
    if precision.weights.value != precision.compute.value:
        context.emit.choose("weights", *precision.weights)
    context.emit.choose("model.attn_implementation", *precision.attention)
    return Workbench(base, precision, load_tokenizer(base.folder))


def load_trainable(context: Context, bench: Workbench,
                   labels: int | None = None) -> PreTrainedModel:
    """Load the base model, ready to be trained or to carry an adapter.

    ``labels`` is how many scores a head in place of the words gives.
    """
    from transformers import set_seed

    from trainer.tuners.prepare import make_trainable

    context.emit.stage("loading", "Loading the weights")
    set_seed(context.config.training.seed)
    model = load_model(bench.base, context.config, bench.precision, labels)
    return make_trainable(model, context, bench)


def choose_adapter(context: Context) -> Any:
    """Return PEFT's config for TRL to attach, or None: no adapter, or one that is attached."""
    from trainer.tuners.attach import is_attached_here
    from trainer.tuners.configs import peft_config
    from trainer.tuners.prepare import linear_names

    config = context.config
    if not config.tuner.is_adapter or is_attached_here(config):
        return None
    return peft_config(config, names=linear_names(context))


def record(context: Context, bench: Workbench, splits: Splits, start: Selected) -> None:
    """Write the manifest; a resumed run must still have the inputs of its first attempt."""
    from trainer import manifest
    from trainer.loops.teacher import locate_teacher

    teacher = locate_teacher(context) if context.config.facts.teacher else None
    values = manifest.build(context, bench=bench, teacher=teacher, datasets=splits.sources,
                            template=splits.template)
    manifest.write(context, values, resumed=start.path is not None)


def adopt(context: Context, loop: CommittedLoop, splits: Splits, start: Selected) -> None:
    """Tell the loop about checkpoints, stopping and the order of rows."""
    import torch

    from trainer.adapters import cast_adapter
    from trainer.loops.cpu_head import score_trained_only
    from trainer.loops.loop import LoopSettings
    from trainer.tuners.prepare import finish_adapter

    config = context.config
    if config.model.quantization != "none":
        cast_adapter(loop.model, torch.float32)
    finish_adapter(context, loop, splits, start)
    if not config.training.torch_compile:
        for model in filter(None, (loop.model, getattr(loop, "ref_model", None))):
            score_trained_only(model, getattr(loop, "temperature", 1.0))
    keeper = CheckpointKeeper(context.run, context.emit, config.training.save_total_limit,
                              start.step)
    keeper.sweep()
    loop.adopt(LoopSettings(keeper, context.stop, config.data.shuffle, is_grouped(context),
                            splits.train.lengths))
    loop.tune(context, keeper, start)
    if start.path is not None:
        loop.restore_totals(start.path)


def is_grouped(context: Context) -> bool:
    """Tell whether rows of like length share a batch; says why when that is asked for in vain."""
    config = context.config
    if not config.training.group_by_length:
        return False
    if not config.data.shuffle:
        reason = "data.shuffle is off: the rows keep their order"
    elif config.objective == "sft" and config.training.packing != "none":
        reason = "packed sequences are of one length as they are"
    elif config.facts.rows == "judged":
        reason = ("KTO compares rows of a batch: grouped, desired and undesired ones would be "
                  "kept apart")
    else:
        return True
    context.emit.choose("training.group_by_length", False, reason)
    return False


def train(context: Context, loop: CommittedLoop, reporter: Reporter, start: Selected) -> None:
    """Run the loop from the checkpoint to the end.

    Raises:
        Stopped: A stop was asked for; the checkpoint is committed.
    """
    from transformers import PrinterCallback

    context.stop.training_begins()
    context.emit.stage("training")
    loop.remove_callback(PrinterCallback)
    loop.add_callback(reporter)
    state = read_json(start.path / "trainer_state.json") if start.path else {}
    if start.path is not None and state.get("global_step") == state.get("max_steps"):
        loop.load_finished(start.path)
        reporter.make_up(loop.args, loop.state)
    else:
        loop.train(resume_from_checkpoint=str(start.path) if start.path else None)
    context.stop.check()
    loop.settle()


@contextmanager
def tracked(context: Context, loop: CommittedLoop) -> Iterator[None]:
    """Send metrics to the tracker that the config names, and close it in the end."""
    from trainer.tracking import TrackingCallback, open_tracker

    tracker = open_tracker(context)
    if tracker is None:
        yield
        return
    loop.add_callback(TrackingCallback(tracker))
    try:
        yield
    finally:
        tracker.finish()


def save(context: Context, bench: Workbench, model: Any, template: Template) -> None:
    """Write the finished weights to adapter/ or model/."""
    from trainer.weights import save_adapter, save_full

    context.emit.stage("saving", "Writing the finished weights")
    if context.config.tuner.is_adapter:
        save_adapter(model, context.run.adapter, base_folder=bench.base.folder,
                     base_name=bench.base.name, template=template)
    else:
        save_full(model, context.run.model, base_folder=bench.base.folder, template=template)


def check_targets(error: ValueError) -> Failure:
    """Turn PEFT's and TRL's complaints about target modules into ours; re-raise others."""
    text = str(error)
    if "target modules" in text.lower() or "lm_head" in text:
        return Failure("target_modules", f"The adapter cannot be attached: {text}",
                       "Use target_modules 'all-linear', or names of linear layers such as "
                       "q_proj and v_proj.")
    raise error


def summary(loop: CommittedLoop, reporter: Reporter, **measured: float | None) -> Metrics:
    """Return the metrics of the whole run; what was not measured is left out."""
    totals = loop.totals
    values: Metrics = {**reporter.last, "train_loss": totals.train_loss,
                       "train_runtime_s": totals.train_runtime_s,
                       "num_tokens": float(totals.tokens), **loop.best(), **measured}
    return {name: value for name, value in values.items() if value is not None}
