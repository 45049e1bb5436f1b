"""What a reward needs of this machine: a file that somebody has read, a judge that is allowed.

Pure functions of a reward's settings and the machine, for the studio before a run exists and for
the trainer when it begins.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from trainer.contract.config import RewardUse, RunConfig
from trainer.contract.problems import Problem

JUDGE_URLS = "FINESTRA_JUDGE_URLS"
PACKAGES = {"language": ("py3langid", "data"), "json_schema": ("jsonschema", "rewards")}
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


def package_problem(use: RewardUse, where: str) -> Problem | None:
    """Name the package that a reward needs and that is not installed."""
    package, extra = PACKAGES.get(use.name, ("", ""))
    if not package or importlib.util.find_spec(package) is not None:
        return None
    return Problem(field=where, code="reward_package", scope="machine",
                   message=f"The reward '{use.name}' needs the package '{package}', which is not "
                           "installed.", advice=f"Run: pip install 'finestra[{extra}]'",
                   params={"reward": use.name, "package": package, "extra": extra})


def consent_problem(use: RewardUse, where: str) -> Problem | None:
    """Refuse a Python file that nobody has consented to as it is now."""
    if use.name != "python" or not use.path:
        return None
    path = Path(use.path).expanduser()
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise OSError("it is larger than 1 MiB")
        actual = digest(path)
    except OSError as error:
        reason = error.strerror or str(error)
        return Problem(field=f"{where}.path", code="reward_file", scope="machine",
                       message=f"The file '{use.path}' cannot be read: {reason}.",
                       advice="Check the path.", params={"path": use.path, "reason": reason})
    if use.sha256 == actual:
        return None
    given = {"path": use.path, "sha256": actual}
    if use.sha256 is None:
        return Problem(field=f"{where}.sha256", code="reward_consent", scope="machine",
                       message=f"'{use.path}' is code, and nobody has consented to run it.",
                       advice=f"Read it; then set sha256 to {actual} to let it run as it is now.",
                       params=given)
    return Problem(field=f"{where}.sha256", code="reward_changed", scope="machine",
                   message=f"'{use.path}' has changed since somebody consented to run it.",
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
