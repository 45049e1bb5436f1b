"""Another model says which answer is better, or how good one is.

The core of an evaluation calls one function, once all answers are there::

    from trainer.evaluation.judging.judge import judge
    from trainer.evaluation.judging.wish import JudgeResult, JudgeWish

    async def judge(wish: JudgeWish, asker: Asker, say: Callable[[int, int], None],
                    stopped: Callable[[], bool]) -> JudgeResult

``asker`` is the judge, reached like any other model (``trainer.evaluation.seam``). ``say`` is told
(questions answered, of how many). Once ``stopped`` is true nothing more is asked, and ``Stopped``
leaves the function, as does every Failure of the asker; what was answered until then lies in
``wish.folder`` (``judge-NN.jsonl``) and is not asked again.

``trainer.contract.votes.read_votes`` gives the votes for the wish; ``trainer.contract.judging``
what it will cost; docs/judging.md says the rest.
"""
