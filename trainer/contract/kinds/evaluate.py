"""An evaluation: models answer rows, answers are scored, models are compared."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from trainer.contract.config.base import Section, field
from trainer.contract.config.data import Use
from trainer.contract.config.texts import Expression, Place, SchemaText, name_of_run

MetricName = Literal[
    "exact_match", "contains", "regex", "numeric", "json", "rouge", "bleu", "chrf",
    "classification", "likelihood", "multiple_choice", "tool_calls", "code", "embedding",
    "python"]
Normaliser = Literal["width", "case", "punctuation", "articles", "whitespace"]
# What each metric may be told; docs/metrics.md has what the options mean.
OPTIONS: dict[str, tuple[str, ...]] = {
    "exact_match": ("normalise",), "contains": ("normalise", "every"),
    "regex": ("pattern", "whole"), "numeric": (), "json": ("json_schema",),
    "rouge": ("tokenizer", "stem"), "bleu": ("tokenizer", "lowercase"), "chrf": ("word_order",),
    "classification": ("labels",), "likelihood": (), "multiple_choice": (),
    "tool_calls": ("ordered",), "code": ("consent", "timeout_s"), "embedding": ("model",),
    "python": ("path", "sha256")}
NEEDED: dict[str, tuple[str, ...]] = {
    "regex": ("pattern",), "embedding": ("model",), "python": ("path",)}
# They look at how likely a given text is, so nothing is generated for them.
BY_LIKELIHOOD = ("likelihood", "multiple_choice")


class MetricUse(Section):
    """A metric and its options; only those in ``OPTIONS`` mean something to it."""

    name: MetricName = field(..., "Metric", "How answers are scored.")
    normalise: list[Normaliser] | None = field(
        None, "Normalise", "What is made equal before texts are compared.")
    every: bool | None = field(None, "All references", "Every reference has to be contained.")
    pattern: Expression | None = field(None, "Pattern", "What has to be found in the answer.")
    whole: bool | None = field(None, "Whole answer", "The pattern has to match all of it.")
    json_schema: SchemaText | None = field(
        None, "JSON schema", "The schema as JSON, or the path of its file.", max_length=100_000)
    tokenizer: str | None = field(None, "Words", "How ROUGE or BLEU finds words.", max_length=20)
    stem: bool | None = field(None, "Stems", "ROUGE compares words without their endings.")
    lowercase: bool | None = field(None, "Lower case", "BLEU does not see capitals.")
    word_order: int | None = field(None, "Word order", "0 is chrF, 2 is chrF++.", ge=0, le=4)
    labels: list[str] | None = field(None, "Classes", "Else those of the references.",
                                     max_length=200)
    ordered: bool | None = field(None, "In order", "Tool calls have to come in the same order.")
    consent: bool | None = field(
        None, "Run code", "Programs that a model has written are run on this machine, in a "
        "sandbox with limits.")
    timeout_s: float | None = field(None, "Longest run", "Of each program.", unit="s", gt=0,
                                    le=60)
    model: Place | None = field(None, "Embedding model", "A folder or a run whose vectors are "
                                "compared.")
    path: Place | None = field(None, "Python file", "A file with a function "
                               "score(prompts, predictions, references) -> list of numbers.")
    sha256: str | None = field(None, "Consent", "The SHA-256 of the file that may run, so that a "
                               "changed file asks again.", pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: Any) -> Any:
        """Take a name alone."""
        return {"name": values} if isinstance(values, str) else values

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = set(self.options())
        for option in sorted(given - set(OPTIONS[self.name])):
            raise PydanticCustomError("metric_no_option", "The metric {metric} has no option "
                                      "'{option}'.", {"metric": self.name, "option": option})
        for option in NEEDED.get(self.name, ()):
            if option not in given:
                raise PydanticCustomError("metric_needs", "The metric {metric} needs '{option}'.",
                                          {"metric": self.name, "option": option})
        return self

    @model_serializer(mode="wrap")
    def _brief(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write only what was given: most options belong to other metrics."""
        return {name: value for name, value in handler(self).items() if value is not None}

    def options(self) -> dict[str, Any]:
        """Return the options that were given."""
        return {key: value for key, value in self if key != "name" and value is not None}


# A line break is one.
StopWord = Annotated[str, StringConstraints(strip_whitespace=False, min_length=1,
                                            max_length=200)]


class GenerationConfig(Section):
    """How models answer; greedy unless a temperature is given."""

    max_new_tokens: int = field(256, "Longest answer", "Longer ones are cut, and counted as cut.",
                                unit="tokens", ge=1, le=131072)
    temperature: float = field(0.0, "Temperature", "0 takes the likeliest token each time.",
                               ge=0, le=2)
    top_p: float = field(1.0, "Top p", "Only while sampling.", gt=0, le=1)
    seed: int = field(0, "Seed", "Of sampling.", ge=0, le=2**31 - 1)
    system: str = field("", "System prompt", "Put before rows that have none of their own.",
                        max_length=20_000)
    stop: list[StopWord] = field(list, "Stop words", "They end an answer.", max_length=4)
    enable_thinking: bool | None = field(
        None, "Thinking", "Told to chat templates that know it; empty leaves it to them.")


class BenchmarkConfig(Section):
    """Tasks of lm-evaluation-harness."""

    tasks: list[str] = field(list, "Tasks", "By their names in lm-evaluation-harness, such as "
                             "gsm8k or mmlu.", max_length=64)
    num_fewshot: int | None = field(None, "Examples", "Shown before each question; empty is what "
                                    "the task says.", ge=0, le=100)
    limit: int | None = field(None, "Questions", "Of each task; empty means all.", ge=1)
    include_path: Place = field("", "Task folder", "A folder of tasks of your own.")
    sha256: str | None = field(None, "Consent", "The SHA-256 of the task folder whose code may "
                               "run, so that a changed folder asks again; tasks without code need "
                               "none.", pattern=r"^[0-9a-f]{64}$")
    apply_chat_template: bool = field(False, "Chat template", "Ask as in a conversation; base "
                                      "models are asked without.")


class JudgeConfig(Section):
    """A model that compares or scores answers."""

    model: str = field("", "Judge", "A saved endpoint's model (ENDPOINT/MODEL), a run, or a base; "
                       "empty for none.", max_length=300)
    mode: Literal["pairwise", "score"] = field(
        "pairwise", "What it does", "'pairwise' compares each model with the first one; 'score' "
        "gives each answer 1 to 10.")
    rubric: str = field("general", "Rubric", "A template's name, or your own text.",
                        max_length=20_000)
    swap: bool = field(True, "Both orders", "Ask again with the answers exchanged; what does not "
                       "stay the same is a tie.")
    limit: int | None = field(None, "Rows", "Of each dataset; empty means all.", ge=1)
    max_new_tokens: int = field(512, "Longest verdict", "Of the judge.", unit="tokens", ge=16,
                                le=32768)
    price_in: float | None = field(None, "Price of reading", "To show the cost before it is "
                                   "spent.", unit="a million tokens", ge=0)
    price_out: float | None = field(None, "Price of writing", "To show the cost before it is "
                                    "spent.", unit="a million tokens", ge=0)


class EvaluateConfig(Section):
    """Everything that defines an evaluation; it alone makes it again."""

    kind: Literal["evaluate"] = field("evaluate", "Kind", "What kind of run this is.")
    name: str = field("evaluation", "Name", "Shown to people; the id is made by the studio.",
                      min_length=1, max_length=100)
    models: list[Place] = field(..., "Models", "Runs, RUN/checkpoint-40, RUN/FILE.gguf, 'starter', "
                                "folders, or ENDPOINT/MODEL. The first is what the others are "
                                "compared with.", min_length=1, max_length=16)
    data: list[Use] = field(list, "Data", "Datasets whose rows are answered.", max_length=32)
    metrics: list[MetricUse] = field(list, "Metrics", "Empty chooses by the data.",
                                     max_length=len(OPTIONS))
    max_samples: int | None = field(None, "Rows", "The first so many of each dataset; empty means "
                                    "all.", ge=1)
    generation: GenerationConfig = field(GenerationConfig, "Generation", "How models answer.")
    engine: Literal["auto", "transformers", "vllm"] = field(
        "auto", "Engine", "'auto' is vLLM where it is installed and answers as the model was "
        "trained, else Transformers; GGUF files are asked through llama.cpp.")
    batch_size: int | None = field(None, "At once", "Rows that are answered together; empty "
                                   "finds it by memory.", ge=1, le=1024)
    benchmarks: BenchmarkConfig = field(BenchmarkConfig, "Benchmarks",
                                        "Tasks of lm-evaluation-harness.")
    judge: JudgeConfig = field(JudgeConfig, "Judge", "A model that compares or scores answers.")
    device: str = field("auto", "Device", "'auto', 'cpu' or a GPU's UUID.", max_length=100)
    seed: int = field(0, "Seed", "Of bootstrap, permutations and few-shot examples.", ge=0,
                      le=2**32 - 1)

    _name = field_validator("name")(name_of_run)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.models)) < len(self.models):
            raise PydanticCustomError("model_twice", "A model is named twice.")
        names = [one.name for one in self.metrics]
        if len(set(names)) < len(names):
            raise PydanticCustomError("metric_twice", "A metric is named twice.")
        if not self.data and not self.benchmarks.tasks:
            raise PydanticCustomError("nothing_to_ask", "There is nothing to ask: name data or "
                                      "benchmarks.")
        if self.judge.model and not self.data:
            raise PydanticCustomError("nothing_to_judge", "A judge looks at answers to data, and "
                                      "none is named.")
        if self.judge.model and self.judge.mode == "pairwise" and len(self.models) < 2:
            raise PydanticCustomError("pairwise_of_one", "A judge that compares needs two models.")
        return self

    def dump(self) -> dict[str, Any]:
        """Return the complete config as plain data, every default written out."""
        return self.model_dump(mode="json")
