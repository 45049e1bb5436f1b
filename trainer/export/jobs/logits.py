"""What Transformers computes for a few tokens, for comparing: run by path in Finestra's own place.

Reads ``{"source", "ids", "target"}`` from standard input; writes ``{"tokens",
"log_probabilities"}`` to ``target``: at each position the likeliest token, in float32.
"""

import json
import sys
from pathlib import Path


def main() -> None:
    """Compute and write them."""
    wish = json.load(sys.stdin)
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        wish["source"], dtype=torch.float32, trust_remote_code=False, use_safetensors=True,
        local_files_only=True).eval()
    with torch.no_grad():
        found = torch.log_softmax(model(torch.tensor([wish["ids"]])).logits[0].float(), dim=-1)
    values, tokens = found.max(dim=-1)
    Path(wish["target"]).write_text(json.dumps({"tokens": tokens.tolist(),
                                                "log_probabilities": values.tolist()}))


if __name__ == "__main__":
    main()
