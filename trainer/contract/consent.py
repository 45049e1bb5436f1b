"""What rewards and metrics need of this machine: code that somebody has read, judges, packages.

Pure functions of their settings and the machine, for the studio before a run exists and for the
trainer when it begins.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from trainer.contract.config import RewardUse, RunConfig
from trainer.contract.kinds.evaluate import MetricUse
from trainer.contract.problems import Problem

JUDGE_URLS = "FINESTRA_JUDGE_URLS"
PACKAGES = {"language": ("py3langid", "data"), "json_schema": ("jsonschema", "rewards")}
OF_METRICS = {"regex": ("regex", "eval"), "json": ("jsonschema", "eval"),
              "rouge": ("rouge_score", "eval"), "bleu": ("sacrebleu", "eval"),
              "chrf": ("sacrebleu", "eval")}
LARGEST_FILE = 2**20


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; OSError when it cannot be read."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reward_problems(config: RunConfig, *, web: bool = False) -> list[Problem]:
    """Return what keeps a run's rewards from working on this machine.

    Args:
        config: The run.
        web: Whether it comes from a page or over REST: those ask only judges that the studio's
            administrator has named.
    """
    if config.objective not in ("grpo", "rloo"):
        return []
    found = []
    for index, use in enumerate(config.rollout.rewards):
        where = f"rollout.rewards.{index}"
        found += [problem for problem in (
            package_problem(use, where), consent_problem(use, where),
            judge_problem(use, where) if web else None) if problem]
    return found


def metric_problems(uses: Sequence[MetricUse]) -> list[Problem]:
    """Return what keeps the metrics of an evaluation from working on this machine."""
    found = []
    for index, use in enumerate(uses):
        where = f"metrics.{index}"
        found += [problem for problem in (
            package_problem(use, where), consent_problem(use, where)) if problem]
    return found


def metric_places(use: MetricUse) -> dict[str, str]:
    """Return what a metric names of this machine: a file of code, a schema's, a model's folder."""
    named = {"path": use.path, "model": use.model, "json_schema": use.json_schema}
    return {key: name for key, name in named.items()
            if name and not (key == "json_schema" and name.lstrip().startswith("{"))}


def package_problem(use: RewardUse | MetricUse, where: str) -> Problem | None:
    """Name the package that a reward or a metric needs and that is not installed."""
    kind = "reward" if isinstance(use, RewardUse) else "metric"
    package, extra = (PACKAGES if kind == "reward" else OF_METRICS).get(use.name, ("", ""))
    needed = package and not (use.name == "json" and not use.json_schema)
    if not needed or importlib.util.find_spec(package) is not None:
        return None
    package = package.replace("_", "-")
    return Problem(field=where, code=f"{kind}_package", scope="machine",
                   message=f"The {kind} '{use.name}' needs the package '{package}', which is not "
                           "installed.", advice=f"Run: pip install 'finestra[{extra}]'",
                   params={kind: use.name, "package": package, "extra": extra})


def consent_problem(use: RewardUse | MetricUse, where: str) -> Problem | None:
    """Refuse a Python file, or programs of a model, that nobody has consented to."""
    if isinstance(use, MetricUse) and use.name == "code" and not use.consent:
        return Problem(field=f"{where}.consent", code="code_consent", scope="machine",
                       message="The metric 'code' runs programs that a model has written, and "
                               "nobody has consented to it.",
                       advice="Set consent to true: they run in a sandbox with limits.")
    if use.name != "python" or not use.path:
        return None
    found = read_consented(use.path, use.sha256,
                           "reward" if isinstance(use, RewardUse) else "metric", where)
    return found if isinstance(found, Problem) else None


def read_consented(name: str, sha256: str | None, kind: Literal["reward", "metric"],
                   where: str = "") -> bytes | Problem:
    """Read a Python file as somebody consented to it; else return why it may not run.

    Args:
        name: Its path.
        sha256: What was consented to; None when nobody has.
        kind: What the file is for.
        where: The field of the config that names it.
    """
    try:
        with open(os.path.expanduser(name), "rb") as file:
            source = file.read(LARGEST_FILE + 1)
        if len(source) > LARGEST_FILE:
            raise OSError("it is larger than 1 MiB")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Problem(field=f"{where}.path", code=f"{kind}_file", scope="machine",
                       message=f"The file '{name}' cannot be read: {reason}.",
                       advice="Check the path.", params={"path": name, "reason": reason})
    actual = hashlib.sha256(source).hexdigest()
    if sha256 == actual:
        return source
    given = {"path": name, "sha256": actual}
    if sha256 is None:
        return Problem(field=f"{where}.sha256", code=f"{kind}_consent", scope="machine",
                       message=f"'{name}' is code, and nobody has consented to run it.",
                       advice=f"Read it; then set sha256 to {actual} to let it run as it is now.",
                       params=given)
    return Problem(field=f"{where}.sha256", code=f"{kind}_changed", scope="machine",
                   message=f"'{name}' has changed since somebody consented to run it.",
                   advice=f"Read it again; then set sha256 to {actual}.", params=given)


def judge_problem(use: RewardUse, where: str,
                  environ: Mapping[str, str] = os.environ) -> Problem | None:
    """Refuse a judge that the administrator has not named (rule R6)."""
    if use.name != "judge" or not use.base_url:
        return None
    allowed = {_plain(url) for url in environ.get(JUDGE_URLS, "").replace(",", " ").split()}
    if _plain(use.base_url) in allowed:
        return None
    return Problem(field=f"{where}.base_url", code="judge_not_allowed", scope="machine",
                   message=f"'{use.base_url}' is not one of the judges that this studio may ask.",
                   advice=f"Its administrator names them in {JUDGE_URLS}, separated by spaces.",
                   params={"url": use.base_url, "variable": JUDGE_URLS})


def _plain(url: str) -> str:
    """Return an address in one form: case of scheme and host, and a slash at the end, aside."""
    parts = urlsplit(url.strip())
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.rstrip('/')}"
