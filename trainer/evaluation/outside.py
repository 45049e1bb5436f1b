"""What others add to an evaluation: benchmarks, a judge, vectors of a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.context import Work
from trainer.contract.kinds.evaluate import EvaluateConfig
from trainer.contract.votes import read_votes
from trainer.evaluation.asking import HttpAsker
from trainer.evaluation.benchmarks import BenchmarkResult, BenchmarkWish
from trainer.evaluation.choosing import Plan, Wish, choose
from trainer.evaluation.embedding import vectors
from trainer.evaluation.judging.judge import judge
from trainer.evaluation.judging.wish import JudgeResult, JudgeWish
from trainer.evaluation.preparing import Task, device_of, tokenizer_of
from trainer.evaluation.running import Pace, until_stopped
from trainer.evaluation.starting import Hall

AT_ONCE = {"transformers": 64, "vllm": 128, "llama.cpp": 2, "endpoint": 8}


def at_once(config: EvaluateConfig, plan: Plan) -> int:
    """Return how many rows are under way; engines queue what they cannot take at once."""
    return config.batch_size or AT_ONCE[plan.engine]


@dataclass(frozen=True)
class Outside:
    """Whatever is asked of models beside the rows, with the engines of one hall."""

    work: Work[EvaluateConfig]
    task: Task
    hall: Hall

    async def benchmarks(self, plan: Plan, asker: HttpAsker) -> BenchmarkResult:
        """Ask one model the config's benchmarks, while its engine is there.

        Raises:
            Failure: As ``run_benchmarks``.
        """
        from trainer.evaluation.benchmarks.running import run_benchmarks

        work = self.work
        await asker.ready()
        facts = await asyncio.to_thread(self.hall.facts) if plan.kind else {}
        wish = BenchmarkWish(
            work.config.benchmarks, plan.name, plan.number, work.run.eval / "benchmarks",
            tokenizer_of(plan), plan.target.model.template if plan.kind else "auto",
            int(facts.get("max_model_len") or 0), work.config.seed, asker.gate.width)
        pace: dict[str, Pace] = {}

        def say(done: int, total: int, task: str) -> None:
            if task not in pace:
                work.emit.stage("benchmarking", f"{plan.name}: {task}")
                pace[task] = Pace(work.emit, "benchmarking", total, unit="requests")
            pace[task].total = total
            pace[task].add(done - pace[task].done)

        return await run_benchmarks(wish, asker, say, lambda: work.stop.requested)

    def judged(self, lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> JudgeResult:
        """Have the answers judged.

        Args:
            lines: Of each model, its predictions with ``messages``.

        Raises:
            Failure: As ``judge``.
            Stopped: A stop was asked for.
        """
        work, plan = self.work, self.task.judge
        assert plan is not None
        config = work.config
        work.emit.stage("judging", config.judge.model)
        votes = read_votes(work.home / "chats", config.models).pairs if work.home else ()

        async def ask() -> JudgeResult:
            pace: list[Pace] = []

            def say(done: int, total: int) -> None:
                if not pace:
                    pace.append(Pace(work.emit, "judging", total, unit="questions"))
                pace[0].add(done - pace[0].done)

            async with HttpAsker(plan, self.hall, at_once(config, plan),
                                 work.emit.warn) as asker:
                wish = JudgeWish(config.judge, config.models, lines, work.run.eval, votes,
                                 config.seed, asker.gate.width)
                return await judge(wish, asker, say, lambda: work.stop.requested)

        return until_stopped(ask(), work.stop, self.hall.interrupt)

    def embedder(self, name: str) -> Callable[[Sequence[str]], Any]:
        """Return what makes vectors with a model, whose engine is started when it is called."""
        def embed(texts: Sequence[str]) -> Any:
            return until_stopped(self._vectors(name, texts), self.work.stop, self.hall.interrupt)

        return embed

    async def _vectors(self, name: str, texts: Sequence[str]) -> Any:
        work = self.work
        (plan,) = choose([name], [self.task.finder.find(name)],
                         Wish("transformers", device_of(work.device), None), self.hall.kinds)
        async with HttpAsker(plan, self.hall, at_once(work.config, plan),
                             work.emit.warn) as asker:
            return await vectors(asker, texts)
