"""Training some layers of the model itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.contract.config import TunerConfig
from trainer.contract.targets import is_thawed
from trainer.failures import Failure

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def freeze(model: PreTrainedModel, tuner: TunerConfig, *, head: bool = False) -> None:
    """Let only the layers and modules be trained that the config names.

    Args:
        model: The base.
        tuner: Says which.
        head: A new head of scores is trained in any case.

    Raises:
        Failure: Nothing of those names exists.
    """
    depth = int(model.config.get_text_config().num_hidden_layers)
    trained = 0
    for name, parameter in model.named_parameters():
        wanted = is_thawed(tuner.freeze, name, depth) or (head and name.startswith("score."))
        parameter.requires_grad_(wanted)
        trained += wanted
    if not trained:
        raise Failure("nothing_to_train", "No weight has the names that are to be trained.",
                      "Look at tuner.freeze: layers, modules and extra_modules.")

