"""Evaluations have a bench of their own."""

from tests.trainer.evaluation.conftest import bench, engine

__all__ = ["bench", "engine"]
