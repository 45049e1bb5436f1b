"""vLLM for real, asked through the studio's /v1 with OpenAI's client: `make vllm` makes its place.

The same studio answers with the Transformers engine first, so that both can be compared.
"""

import json
import os
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest

from app.home import Home
from app.serving.engines.leases import folder_of, known
from tests.e2e.server import Server
from tests.trainer.evaluation.plain_asker import asking
from trainer.contract.identity import find_by_environ
from trainer.contract.kinds.evaluate import GenerationConfig
from trainer.engines.settings import VLLM_PYTHON, default_vllm_python
from trainer.engines.sockets import MARK, listening
from trainer.evaluation.likelihood import of_choices, of_reference, of_text
from trainer.evaluation.seam import Ask

VLLM = Path(os.environ.get(VLLM_PYTHON) or default_vllm_python())
pytestmark = [pytest.mark.long, pytest.mark.skipif(
    not VLLM.is_file(), reason="vLLM's environment is not here: make vllm")]

PROMPTS = ["Who are you?", "What is the capital of France?", "Say hello.", "3 + 4 =",
           "Write a short poem about the sea.", "用一句话介绍你自己。", "Name three colours.",
           "Where does Mia live?"]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12},
                                           "people": {"type": "integer"}},
          "required": ["city", "people"], "additionalProperties": False}
CONFIG = {
    "model": {"name_or_path": "starter"},
    "data": {"train": ["sample_instructions"], "max_samples": 32},
    "training": {"device": "cpu", "eval_steps": None, "save_steps": None,
                 "learning_rate": 5e-3, "optim": "adamw_torch"},
    "evaluation": {"exact_match": False, "samples": 0},
}
# A busy machine needs minutes to start vLLM.
START_S = 900
END_S = 30


@contextmanager
def serving(home, engine):
    """Run the studio with one kind of engine; yields it with OpenAI's client."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINESTRA_ENGINE", engine)
        patch.setenv(VLLM_PYTHON, str(VLLM))
        patch.setenv("FINESTRA_ENGINE_START_S", str(START_S))
        server = Server(home)
        server.start()
    try:
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=START_S,
                           max_retries=0, http_client=httpx.Client(trust_env=False)) as client:
            yield server, client
    finally:
        server.close()


def train(server, name, seed, steps):
    """Train an adapter for a few steps; returns the run's id."""
    config = {**CONFIG, "name": name, "training": {**CONFIG["training"], "seed": seed,
                                                   "max_steps": steps}}
    run = server.api.post("/runs", json=config).raise_for_status().json()["id"]
    server.until("the run has ended", lambda: server.run(run)["state"] not in
                 {"queued", "starting", "running"}, START_S)
    assert server.run(run)["state"] == "completed", server.run(run)["reason"]
    return run


def ask(client, model, text, **more):
    """Ask one thing, greedily unless told; returns the first choice and the whole answer."""
    values = {"temperature": 0, "max_tokens": 24, "logprobs": True, "top_logprobs": 3,
              "extra_body": {"return_token_ids": True}, **more}
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], **values)
    return answer.choices[0], answer


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("vllm") / "home"


@pytest.fixture(scope="module")
def told():
    """What the Transformers engine says of given texts; filled by ``reference``."""
    return {}


@pytest.fixture(scope="module")
def reference(home, told):
    """Two runs, and what the Transformers engine says: (runs, answers by model and prompt)."""
    with serving(home, "transformers") as (server, client):
        runs = [train(server, "one", 1, 6), train(server, "two", 2, 12)]
        answers = {(model, text): ask(client, model, text)
                   for model in ("starter", *runs) for text in PROMPTS}
        told.update(likelihoods(server, "starter"))
    return runs, answers


def likelihoods(server, model):
    """Return what a model says of given texts: prompts as they are, references, choices."""
    asks = [Ask("d", row, ({"role": "user", "content": text},), references=(f"{text} Yes: 是的.",),
                choices=("Paris", "I am a model.", "7"))
            for row, text in enumerate(PROMPTS, start=1)]
    texts = [Ask("d", row, text=text, choices=("blue", "a long way", "7"))
             for row, text in enumerate([*PROMPTS, "The sky is "], start=1)]

    async def work(asker):
        body = {"prompt": PROMPTS, "prompt_logprobs": 3, "max_tokens": 1, "temperature": 0}
        echo = {"prompt": PROMPTS[1], "echo": True, "logprobs": 1, "max_tokens": 1,
                "temperature": 0}
        return {
            "prompts": (await asker.post("/completions", body))["choices"],
            "echo": (await asker.post("/completions", echo))["choices"][0]["logprobs"],
            "references": [await of_reference(asker, one, GenerationConfig(system="Be brief."))
                           for one in asks],
            "answers": [await of_choices(asker, one) for one in asks],
            "texts": [await of_text(asker, one) for one in texts],
            "choices": [await of_choices(asker, one) for one in texts]}

    return asking(f"{server.url}/v1", model, "none", work)


@pytest.fixture(scope="module")
def studio(home, reference):
    """The same studio with vLLM, and its client."""
    with serving(home, "vllm") as (server, client):
        yield server, client


def engine_of(home):
    """Return the one engine that runs."""
    (engine,) = known(Home.open(home))
    return engine


def processes(home):
    """Return every process of the engines of a home."""
    return find_by_environ({"FINESTRA_HOME": str(home)})


def litter():
    """Return what an engine may leave in the temporary folder and in shared memory."""
    found = {path for path in Path(tempfile.gettempdir()).iterdir()
             if path.is_socket() or path.name.startswith(("finestra-", "vllm"))}
    return found | set(Path("/dev/shm").iterdir())


def test_both_engines_find_texts_as_likely(studio, told):
    """Comes first: with room for adapters, vLLM ends on a processor when it is asked for these."""
    server, _ = studio
    mine, theirs = likelihoods(server, "starter"), told
    for here, there in zip(mine["prompts"], theirs["prompts"], strict=True):
        pairs = zip(here["prompt_logprobs"], there["prompt_logprobs"], strict=True)
        assert next(pairs) == (None, None)
        for left, right in pairs:
            # The last of the likeliest may be another one where two are as likely.
            assert next(iter(left)) == next(iter(right)) and len({*left} ^ {*right}) <= 2
            for token in {*left} & {*right}:
                assert left[token]["logprob"] == pytest.approx(right[token]["logprob"],
                                                               abs=1e-3)
            own = next(iter(left))
            assert abs(left[own]["rank"] - right[own]["rank"]) <= 1
            assert set(left[own]) == set(right[own])
    for key in ("token_logprobs", "text_offset", "tokens"):
        assert mine["echo"][key][0] == theirs["echo"][key][0]
        assert len(mine["echo"][key]) == len(theirs["echo"][key])
    assert mine["echo"]["token_logprobs"][1:] == pytest.approx(
        theirs["echo"]["token_logprobs"][1:], abs=1e-3)
    for key in ("references", "texts"):
        for here, there in zip(mine[key], theirs[key], strict=True):
            assert here.n_bytes == there.n_bytes
            assert here.logprobs == pytest.approx(there.logprobs, abs=1e-3)
            assert here.logprobs or key == "texts"
    for key in ("answers", "choices"):
        for here, there in zip(mine[key], theirs[key], strict=True):
            assert here == pytest.approx(there, abs=1e-2)


def test_base_and_two_adapters_answer_from_one_engine(studio, reference, home):
    _, client = studio
    (one, two), answers = reference
    names = ("starter", one, two)
    text = next(text for text in PROMPTS
                if len({tuple(answers[name, text][0].token_ids) for name in names}) == 3)
    first = {name: ask(client, name, text)[0].token_ids for name in names}
    engine = engine_of(home)
    assert len({tuple(ids) for ids in first.values()}) == 3
    # Another order, and both at hand by now.
    for name in (two, "starter", one, two):
        assert ask(client, name, text)[0].token_ids == first[name]
    assert engine_of(home) == engine


def difference(mine, theirs):
    """Say where two greedy answers part, '' when they do not, or only where two tokens tie."""
    for step, (here, there) in enumerate(zip(mine.token_ids, theirs.token_ids, strict=False)):
        if here == there:
            continue
        tops = mine.logprobs.content[step].top_logprobs
        gap = tops[0].logprob - tops[1].logprob
        return "" if gap < 1e-3 else f"at token {step}, {gap:.4f} apart: {here} and {there}"
    return "" if len(mine.token_ids) == len(theirs.token_ids) else "one is longer"


def test_greedy_answers_are_those_of_our_own_engine(studio, reference):
    _, client = studio
    runs, answers = reference
    same, parted = 0, []
    for model in ("starter", *runs):
        for text in PROMPTS:
            mine, whole = ask(client, model, text)
            theirs, other = answers[model, text]
            assert whole.prompt_token_ids == other.prompt_token_ids
            same += mine.token_ids == theirs.token_ids
            if where := difference(mine, theirs):
                parted.append((model, text, where))
            # Of what both have read, both think the same.
            first, second = mine.logprobs.content[0], theirs.logprobs.content[0]
            assert abs(first.logprob - second.logprob) < 1e-2
    print(f"{same} of {3 * len(PROMPTS)} answers are the same, token by token")
    assert not parted
    assert same >= 3 * len(PROMPTS) - 2


def test_a_stream_says_the_same(studio, reference):
    _, client = studio
    (one, _), _ = reference
    whole, answer = ask(client, one, PROMPTS[4])
    chunks = list(client.chat.completions.create(
        model=one, messages=[{"role": "user", "content": PROMPTS[4]}], temperature=0,
        max_tokens=24, stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.message.content and {c.model for c in chunks} == {one}
    assert chunks[-1].usage.completion_tokens == answer.usage.completion_tokens


def test_a_schema_is_kept(studio, reference):
    _, client = studio
    (one, _), _ = reference
    for name in ("starter", one):
        choice, _ = ask(client, name, "Tell me of a city.", max_tokens=200, response_format={
            "type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}})
        if choice.finish_reason == "stop":
            found = json.loads(choice.message.content)
            assert isinstance(found["city"], str) and isinstance(found["people"], int)
        else:
            # A model of six million parameters may count digits until there is no more room.
            assert choice.message.content.lstrip().startswith("{")


def test_logprobs_and_token_ids_belong_together(studio):
    _, client = studio
    choice, answer = ask(client, "starter", PROMPTS[0], top_logprobs=5)
    assert len(choice.logprobs.content) == len(choice.token_ids) == answer.usage.completion_tokens
    for token in choice.logprobs.content:
        assert token.logprob <= 0 and len(token.top_logprobs) >= 5
        # Greedy: what was said is the likeliest.
        assert abs(token.logprob - max(t.logprob for t in token.top_logprobs)) < 1e-6
    assert answer.usage.prompt_tokens == len(answer.prompt_token_ids)


def test_only_what_the_key_guards_is_open(studio, home):
    _, client = studio
    ask(client, "starter", "Hello.", max_tokens=1)
    engine = engine_of(home)
    # One for those who ask, the others between vLLM's own processes; none beyond this machine.
    ports = listening(engine.id)
    assert len(ports) > 1 and all(local for local, _ in ports)
    argv = Path(f"/proc/{find(engine.id, 'server')}/cmdline").read_bytes().split(b"\0")
    port = int(argv[argv.index(b"--port") + 1])
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as direct:
        assert direct.get("/health").status_code == 200
        for path in ("/v1/chat/completions", "/v1/load_lora_adapter"):
            assert direct.post(path, json={}).status_code == 401
        for path in ("/invocations", "/adapters", "/tokenize", "/generative_scoring"):
            assert direct.post(path, json={}).status_code == 404


def endless(client, model):
    """Begin an answer that goes on for long; yields its chunks."""
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": PROMPTS[4]}], stream=True,
        max_tokens=1800, temperature=1.0, extra_body={"ignore_eos": True})


def find(engine_id, whom):
    """Return the pid of our guard, of vLLM's server, or of vLLM's process behind that."""
    for process in find_by_environ({MARK: engine_id}):
        argv = Path(f"/proc/{process.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        if {"guard": any(part.endswith(b"/guard.py") for part in argv),
            "server": argv[0] == bytes(VLLM) and argv[2:3] == [b"-m"],
            "core": argv[0].startswith(b"VLLM::EngineCore")}[whom]:
            return process.pid
    raise AssertionError(f"there is no {whom}")


@pytest.mark.parametrize("whom", ["guard", "server", "core"])
def test_f33_a_killed_engine_ends_the_answer_and_leaves_nothing(studio, reference, home, whom):
    server, client = studio
    (one, _), _ = reference
    ask(client, one, "Hello.", max_tokens=1)
    engine = engine_of(home)
    stream = endless(client, one)
    next(iter(stream))
    os.kill(find(engine.id, whom), signal.SIGKILL)
    with pytest.raises(openai.APIError):
        for _ in stream:
            pass
    server.until("no process is left", lambda: not find_by_environ({MARK: engine.id}), END_S)
    server.until("its files are gone", lambda: not [
        path for path in folder_of(Home.open(home)).glob(f"{engine.id}.*")
        if path.suffix != ".log"], END_S)
    assert not (Path(tempfile.gettempdir()) / f"finestra-{engine.id}").exists()
    assert ask(client, one, PROMPTS[0])[0].token_ids
    assert engine_of(home).id != engine.id


def test_f33_a_killed_studio_takes_vllm_with_it(studio, reference, home):
    server, client = studio
    (one, _), _ = reference
    for engine in server.api.get("/engines").json()["engines"]:
        if engine["state"] != "ended":
            server.api.post(f"/engines/{engine['id']}/unload",
                            json={"force": True}).raise_for_status()
    server.until("no engine is left", lambda: not list(known(Home.open(home))), END_S)
    before = litter()
    stream = endless(client, one)
    next(iter(stream))
    assert list(known(Home.open(home)))
    server.kill()
    server.until("no process is left", lambda: not processes(home), END_S)
    server.start()
    assert not list(known(Home.open(home)))
    assert not litter() - before
