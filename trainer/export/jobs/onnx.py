"""Exports a model to ONNX by optimum-onnx; run by path in whichever environment has that.

Reads ``{"source", "target", "ids", "expected"}`` from standard input. ``expected`` is what
``logits.py`` wrote: the exported model must say the same, computed by onnxruntime where it is
installed. The last line is ``checked: LARGEST`` or ``checked: no``, or the reason when it fails.
"""

import json
import sys
from pathlib import Path

# float32 on both sides; a wrong position or scale moves log-probabilities by tenths.
FURTHEST = 0.01


def main() -> None:
    """Export one model, and check it."""
    wish = json.load(sys.stdin)
    from optimum.exporters.onnx import main_export

    print("stage: exporting", flush=True)
    main_export(wish["source"], wish["target"], task="text-generation-with-past", device="cpu",
                dtype="fp32", trust_remote_code=False, do_validation=False, local_files_only=True)
    print("stage: checking", flush=True)
    try:
        import onnxruntime
    except ImportError:
        print("checked: no")
        return
    session = onnxruntime.InferenceSession(str(Path(wish["target"]) / "model.onnx"),
                                           providers=["CPUExecutionProvider"])
    furthest = _distance(session, wish["ids"], json.loads(Path(wish["expected"]).read_text()))
    if not furthest <= FURTHEST:
        sys.exit(f"the exported model says something else than the model: a log-probability is "
                 f"{furthest:.3g} away")
    print(f"checked: {furthest:.2g}")


def _distance(session, ids, expected):
    """Return the largest distance of the log-probabilities of the expected tokens."""
    import numpy as np

    logits = session.run(["logits"], _inputs(session, ids))[0][0].astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    logs = logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))
    found = logs[np.arange(len(ids)), expected["tokens"]]
    return float(np.abs(found - np.array(expected["log_probabilities"])).max())


def _inputs(session, ids):
    """Return what the model is given: the tokens, and a cache that is empty."""
    import numpy as np

    made = {"input_ids": np.array([ids], dtype=np.int64),
            "attention_mask": np.ones((1, len(ids)), dtype=np.int64),
            "position_ids": np.arange(len(ids), dtype=np.int64)[None]}
    found = {}
    for given in session.get_inputs():
        if given.name in made:
            found[given.name] = made[given.name]
        else:
            shape = [size if isinstance(size, int) else 1 if "batch" in str(size) else 0
                     for size in given.shape]
            found[given.name] = np.zeros(shape, dtype=np.float32)
    return found


if __name__ == "__main__":
    main()
