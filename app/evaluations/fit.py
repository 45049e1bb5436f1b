"""What can be known of an evaluation before it is queued."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from app.choices import Choice
from app.home import Home
from app.paths import is_path
from trainer.contract.kinds.evaluate import EvaluateConfig
from trainer.contract.problems import Problem
from trainer.contract.rundir import RunDir, is_safe_name


class EvaluationFit:
    """Looks at configs of evaluations."""

    def __init__(self, home: Home, allowed: Callable[[str], bool] | None) -> None:
        """Look into a home.

        Args:
            home: Where runs and models lie.
            allowed: Tells whether a page may name a path (rule R5); None lets every path pass.
        """
        self.home, self._allowed = home, allowed

    def look(self, config: EvaluateConfig) -> tuple[list[Problem], list[Choice]]:
        """Return every problem, and what is known of the work."""
        return list(self._outside(config)), []

    def absolute(self, config: EvaluateConfig) -> EvaluateConfig:
        """Make relative paths absolute: config.yaml alone does it again, from any folder."""
        return config.model_copy(update={"models": [self._place(one) for one in config.models]})

    def _place(self, name: str) -> str:
        if name == "starter" or self._is_run(name):
            return name
        path = os.path.expanduser(name)
        return os.path.abspath(path) if os.path.exists(path) else name

    def _outside(self, config: EvaluateConfig) -> Iterator[Problem]:
        if self._allowed is None:
            return
        for at, name in enumerate(config.models):
            if name != "starter" and not self._is_run(name) and is_path(name) \
                    and not self._allowed(name):
                yield Problem(
                    field=f"models.{at}", code="path_outside_roots",
                    message=f"'{name}' lies outside the folders that pages may use.",
                    advice="Name another one, or start the server with --data-root.",
                    params={"name": name})

    def _is_run(self, name: str) -> bool:
        run_id = name.partition("/")[0]
        return is_safe_name(run_id) and RunDir(self.home.runs / run_id).path.is_dir()
