"""How to use an exported model, as a reader of its card can copy it."""

from __future__ import annotations

_ADAPTER = """```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{base}")
model = PeftModel.from_pretrained(model, "PATH_OR_ID_OF_THIS")
tokenizer = AutoTokenizer.from_pretrained("PATH_OR_ID_OF_THIS")
```

Use the tokenizer and chat template that lie beside the adapter: it was trained with them.
"""
_MERGED = """```python
from transformers import pipeline

answer = pipeline("text-generation", model="PATH_OR_ID_OF_THIS")
print(answer([{{"role": "user", "content": "Hello!"}}], max_new_tokens=200))
```

Or with vLLM: `vllm serve PATH_OR_ID_OF_THIS`.
"""
_GGUF = """```
llama-cli -m {file}
ollama create NAME -f Modelfile && ollama run NAME
```
"""


def usage(kind: str, base: str, file: str = "") -> str:
    """Return Markdown with the commands for one kind of export.

    Args:
        kind: 'adapter', 'merged' or 'gguf'.
        base: Name of the base model.
        file: Name of the GGUF file.
    """
    safe = "".join(letter for letter in base if letter not in '"\\`\n')
    texts = {"adapter": _ADAPTER, "merged": _MERGED, "gguf": _GGUF}
    return texts[kind].format(base=safe, file=file or "MODEL.gguf")
