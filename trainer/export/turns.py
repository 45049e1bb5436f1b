"""What stands around each turn in the chat templates that come with Finestra.

The same templates as ``templates/chat``, as a table: programs that cannot run Jinja get their own
template made of it. Tools are not in it; tests compare every entry with its Jinja template.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# Stand for the tokenizer's own first and last token.
BOS, EOS = "\0bos\0", "\0eos\0"
Around = tuple[str, str]


@dataclass(frozen=True)
class Turns:
    """A chat format.

    Attributes:
        user: What is before and after a question.
        header: What asks the assistant to answer.
        end: What ends an answer.
        system: What is before and after a system prompt.
        default_system: The system prompt where none is given.
        start: What a conversation begins with.
        lead: What is between header and answer.
        in_user: The system prompt stands in the first question, behind what is before it.
        each_user: What each question begins with.
        thinks: An answer begins with a thought, an empty one where there is none.
    """

    user: Around
    header: str
    end: str
    system: Around = ("", "")
    default_system: str = ""
    start: str = ""
    lead: str = ""
    in_user: bool = False
    each_user: str = ""
    thinks: bool = False


def _im(end: str = "\n", between: str = "\n") -> Turns:
    """Return ChatML: <|im_start|>ROLE, a separator, the text, <|im_end|>."""
    ends = f"<|im_end|>{end}"
    return Turns(system=(f"<|im_start|>system{between}", ends),
                 user=(f"<|im_start|>user{between}", ends),
                 header=f"<|im_start|>assistant{between}", end=ends)


def _llama(begin: str, close: str, end: str) -> Turns:
    def role(name: str) -> str:
        return f"{begin}{name}{close}\n\n"

    return Turns(system=(role("system"), end), user=(role("user"), end),
                 header=role("assistant"), end=end, start=BOS)


def _plain(user: str, answer: str) -> Turns:
    """Return names in front of turns, a token behind answers only."""
    return Turns(user=(user, ""), header=answer, end=EOS, start=BOS)


_QWEN = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
_SMOLLM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face."
_ALPACA = ("Below is an instruction that describes a task. Write a response that appropriately "
           "completes the request.\n\n")
_VICUNA = ("A chat between a curious user and an artificial intelligence assistant. The assistant "
           "gives helpful, detailed, and polite answers to the user's questions.")
_INTERN = (
    "You are an AI assistant whose name is InternLM (书生·浦语).\n- InternLM (书生·浦语) is a "
    "conversational language model that is developed by Shanghai AI Laboratory "
    "(上海人工智能实验室). It is designed to be helpful, honest, and harmless.\n- InternLM "
    "(书生·浦语) can understand and communicate fluently in the language chosen by the user "
    "such as English and 中文.")
_COHERE = "<|START_OF_TURN_TOKEN|>"
_COHERE_END = "<|END_OF_TURN_TOKEN|>"
_GRANITE = "<|start_of_role|>%s<|end_of_role|>"
_GRANITE_END = "<|end_of_text|>\n"
_INST = Turns(user=("[INST]", "[/INST]"), header="", end=EOS, start=BOS)
_GEMMA = Turns(user=("<start_of_turn>user\n", "<end_of_turn>\n"), header="<start_of_turn>model\n",
               end="<end_of_turn>\n", system=("", "\n\n"), start=BOS, in_user=True)
_INTERNLM = replace(_im(), start=BOS, default_system=_INTERN)

TURNS: dict[str, Turns] = {
    "alpaca": Turns(user=("### Instruction:\n", "\n\n"), header="### Response:\n",
                    end=f"{EOS}\n\n", default_system=_ALPACA),
    "baichuan2": Turns(user=("<reserved_106>", ""), header="<reserved_107>", end=""),
    "chatml": _im(),
    "cohere": Turns(system=(f"{_COHERE}<|SYSTEM_TOKEN|>", _COHERE_END),
                    user=(f"{_COHERE}<|USER_TOKEN|>", _COHERE_END),
                    header=f"{_COHERE}<|CHATBOT_TOKEN|>", end=_COHERE_END, start=BOS),
    "deepseek": Turns(system=("", "\n\n"), user=("User: ", "\n\n"), header="Assistant:",
                      lead=" ", end=EOS, start=BOS),
    "deepseek3": _plain("<｜User｜>", "<｜Assistant｜>"),
    "deepseekr1": replace(_plain("<｜User｜>", "<｜Assistant｜>"), thinks=True),
    "default": Turns(system=("System: ", f"{EOS}\n"), user=("Human: ", f"{EOS}\n"),
                     header="Assistant:", end=f"{EOS}\n"),
    "empty": Turns(user=("", ""), header="", end=""),
    "gemma": _GEMMA,
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "glm4": Turns(system=("<|system|>\n", ""), user=("<|user|>\n", ""), header="<|assistant|>",
                  lead="\n", end="", start="[gMASK]<sop>"),
    "granite3": Turns(system=(_GRANITE % "system", _GRANITE_END),
                      user=(_GRANITE % "user", _GRANITE_END), header=_GRANITE % "assistant",
                      end=_GRANITE_END),
    "intern2": _INTERNLM,
    "internlm2": _INTERNLM,
    "llama2": Turns(user=("[INST] ", " [/INST]"), header="", lead=" ", end=f" {EOS}",
                    system=("<<SYS>>\n", "\n<</SYS>>\n\n"), in_user=True, each_user=BOS),
    "llama3": _llama("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "llama4": _llama("<|header_start|>", "<|header_end|>", "<|eot|>"),
    "ministral": replace(_INST, system=("", "\n\n"), in_user=True),
    "mistral": replace(_INST, user=("[INST] ", "[/INST]"), lead=" ", system=("", "\n\n"),
                       in_user=True),
    "mistral_small": replace(_INST, system=("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")),
    "phi": Turns(system=("<|system|>\n", "<|end|>\n"), user=("<|user|>\n", "<|end|>\n"),
                 header="<|assistant|>\n", end="<|end|>\n"),
    "phi4": _im(end="", between="<|im_sep|>"),
    "qwen": replace(_im(), default_system=_QWEN),
    "qwen3": replace(_im(), thinks=True),
    "qwen3_nothink": _im(),
    "smollm": _im(),
    "smollm2": replace(_im(), default_system=_SMOLLM),
    # The starter's own template, which stands in its folder.
    "starter": _im(),
    "vicuna": Turns(system=("", " "), user=("USER: ", " "), header="ASSISTANT:", lead=" ",
                    end=EOS, start=BOS, default_system=_VICUNA),
    "yi": _im(),
    "zephyr": Turns(system=("<|system|>\n", f"{EOS}\n"), user=("<|user|>\n", f"{EOS}\n"),
                    header="<|assistant|>\n", end=f"{EOS}\n"),
}
