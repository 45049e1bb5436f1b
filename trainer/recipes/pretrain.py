"""Continued pretraining: learn plain text, every token of it.

The loop is that of supervised fine-tuning: only the labels differ.
"""

from trainer.recipes.sft import build

__all__ = ["build"]
