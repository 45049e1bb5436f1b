"""Exports, merges and how they compare, in words."""

from __future__ import annotations

from app.board.i18n.methods import exporting_errors, exporting_zh

EN: dict[str, str] = {
    "page.export": "Export", "page.merge": "Merge",
    "objective.export": "Export", "objective.merge": "Merge",
    "runs.kind": "Kind", "runs.any_kind": "Any kind", "runs.training": "Training",
    "models.export": "Export", "models.what.export": "export",
    "run.export": "Export", "run.merge": "Merge", "run.end": "Stop",
    # Stages and progress
    "stage.merging": "merging", "stage.converting": "converting",
    "stage.comparing": "comparing with the source", "stage.pushing": "sending",
    "progress.pieces": "{step} of {total} parts done",
    "progress.ending": "stopping; finished parts are kept",
    "progress.ended.pieces": "ended after {step} of {total} parts",
    "stat.of_pieces": "of {total} parts", "stat.written": "written",
    "resume.pieces": "Resume keeps the parts that are finished and goes on with the next.",
    "delete.log": "Its log", "delete.written": "What it has written",
    "warning.export_anew": "Everything is exported anew",
    "warning.export_note": "A note on a format", "warning.merge_note": "A note on the result",
    "warning.parity_different": "A format answers differently",
    "warning.parity_not_run": "A format could not be compared",
    "warning.push_note": "A note on what was sent", "chosen.export": "Export",
    # The Export page
    "export.title": "Export a model",
    "export.lead": "A model as other programs read it. At the end each form is asked the same as "
                   "its source.",
    "export.what": "What is exported", "export.source_hint": "a run, a checkpoint, a base",
    "export.name_hint": "by itself", "export.named": "{name} export",
    "export.at_step": "{name}, step {step}",
    "export.choose": "Choose a model first.",
    "export.formats": "As what", "export.group.weights": "Weights",
    "export.group.gguf": "GGUF: llama.cpp, Ollama, LM Studio",
    "export.group.quantized": "Smaller, for vLLM and SGLang",
    "export.group.onnx": "ONNX",
    "export.beside": "Beside it", "export.proof": "Is it the same model?",
    "export.proof_about":
        "Prompts of the run's own data are asked of the trained model and of every "
                          "format, by the program that uses it: same tokens, same answers, how far "
                          "apart the probabilities are.",
    "export.send": "Send it", "export.start": "Start the export",
    "export.dtype.stored": "as the base has it",
    "export.about_size": "about {size}", "export.sizes": "How large, about",
    "export.total": "Together", "export.free": "Free on the disk",
    "export.absent": "not installed",
    "export.part": "{names} can be installed:",
    "export.part_or": "and name an interpreter that has it in {variable}.",
    "format.merged": "Merged model", "format.adapter": "Adapter",
    "format.gguf-f32": "GGUF F32", "format.gguf-f16": "GGUF F16", "format.gguf-bf16": "GGUF BF16",
    "format.gguf-q8_0": "GGUF Q8_0", "format.gguf-q4_0": "GGUF Q4_0",
    "format.gguf-q2_k": "GGUF Q2_K", "format.gguf-q3_k_m": "GGUF Q3_K_M",
    "format.gguf-q4_k_m": "GGUF Q4_K_M", "format.gguf-q5_k_m": "GGUF Q5_K_M",
    "format.gguf-q6_k": "GGUF Q6_K", "format.gptq": "GPTQ 4-bit", "format.awq": "AWQ 4-bit",
    "format.fp8": "FP8", "format.int8": "INT8", "format.onnx": "ONNX", "format.card": "Model card",
    "format.ollama": "Ollama Modelfile",
    "format.deployment": "Deployment folder", "format.parity.json": "Comparison, for programs",
    "format.parity.md": "Comparison, to read",
    "about.format.merged": "One model of base and adapter, as safetensors: for Transformers, vLLM, "
                           "SGLang, TGI, and to train on.",
    "about.format.adapter": "What was learned alone, small; whoever uses it needs the same base.",
    "about.format.gguf-f32": "Every number whole; only to make other files of it.",
    "about.format.gguf-f16": "16 bits, nothing rounded that can be seen; large.",
    "about.format.gguf-bf16": "16 bits, bit by bit what a bf16 model has.",
    "about.format.gguf-q8_0": "8 bits: half the size, hardly to be told from the model. When in "
                              "doubt, this one.",
    "about.format.gguf-q4_0": "4 bits in the plainest way; runs everywhere, also on old devices.",
    "about.format.gguf-q2_k": "The smallest; answers suffer. Only where nothing else fits.",
    "about.format.gguf-q3_k_m": "Small; the difference shows.",
    "about.format.gguf-q4_k_m": "The usual choice for laptops: a quarter of the size, answers "
                                "nearly the same.",
    "about.format.gguf-q5_k_m": "A little larger and closer than Q4_K_M.",
    "about.format.gguf-q6_k": "Close to Q8_0 in three quarters of its size.",
    "about.format.gptq": "Rounded by looking at your training data; for GPUs.",
    "about.format.awq": "Spares the weights that matter most; for GPUs.",
    "about.format.fp8": "Half the size, needs no data; for recent GPUs.",
    "about.format.int8": "Half the size, needs no data; for GPUs of any age.",
    "about.format.onnx": "For ONNX Runtime: browsers, phones, Windows.",
    # The Merge page
    "merge.title": "Merge models",
    "merge.lead": "Several adapters of one base, or several models of one shape, become one.",
    "merge.sources": "What is merged", "merge.what.adapters": "Adapters of one base",
    "merge.what.models": "Whole models", "merge.name_hint": "by itself",
    "merge.named": "{names} merge", "merge.source_hint": "a run or a folder",
    "merge.add": "Add a model", "merge.remove": "Remove model", "merge.model": "Model",
    "merge.weight": "Weight of model", "merge.share": "Weight",
    "merge.method": "How", "merge.settings": "Settings", "merge.start": "Start the merge",
    "merge.choose": "Choose two models or more.",
    "merge.sign.total": "by size and direction", "merge.sign.frequency": "by counting",
    "merge.method.linear": "Linear", "merge.method.cat": "Concatenate", "merge.method.svd": "SVD",
    "merge.method.ties": "TIES", "merge.method.ties_svd": "TIES with SVD",
    "merge.method.dare_linear": "DARE", "merge.method.dare_ties": "DARE with TIES",
    "merge.method.dare_linear_svd": "DARE with SVD",
    "merge.method.dare_ties_svd": "DARE with TIES and SVD",
    "merge.method.magnitude_prune": "Prune by size",
    "merge.method.magnitude_prune_svd": "Prune by size, with SVD",
    "merge.method.slerp": "SLERP", "merge.method.task_arithmetic": "Task arithmetic",
    "about.merge.linear":
        "Of models the weighted mean, for models of one task. Of adapters a rough sum, for those "
        "that began from one.",
    "about.merge.cat": "Side by side: exactly what all of them learned. Ranks add up, so it grows.",
    "about.merge.svd": "The weighted sum, cut to one rank: the first to try.",
    "about.merge.ties":
        "Small changes go, and where signs disagree the larger side wins: for several tasks. Of "
        "adapters as rough as their linear sum.",
    "about.merge.ties_svd":
        "TIES on whole changes: for tasks that get in each other's way, whatever the ranks.",
    "about.merge.dare_linear":
        "Drops changes at random and enlarges the rest. As rough as the linear sum.",
    "about.merge.dare_ties": "Drops at random, then the larger side wins: for many unlike tasks.",
    "about.merge.dare_linear_svd": "DARE on whole changes: for long trainings that changed much.",
    "about.merge.dare_ties_svd": "DARE, then TIES, on whole changes: for many unlike tasks.",
    "about.merge.magnitude_prune":
        "Keeps the largest changes only, then adds. As rough as the linear sum.",
    "about.merge.magnitude_prune_svd":
        "Keeps the largest changes only, on whole changes: takes noise away.",
    "about.merge.slerp":
        "Along the arc from one model to the other; exactly two, of like training.",
    "about.merge.task_arithmetic": "Adds what each learned to the base; a negative weight takes it "
                                   "away.",
    # A run's page
    "written.title": "What was written", "written.total": "{size} together",
    "written.files": "{n} files", "written.download": "Download",
    "written.ollama": "In that folder: {command}",
    "written.sent": "Sent to {place}.",
    "written.chat": "Chat with it", "written.train": "Train on it",
    "merged.title": "What was made", "merged.of": "Of", "merged.method": "Method",
    "merged.rank": "Rank", "merged.size": "Size",
    "merged.far": "How far from the exact sum",
    "merged.alike": "How alike {first} and {second} are",
    "parity.title": "Is it the same model?",
    "parity.lead": "{n} prompts from {source}, answered greedily with up to {tokens} tokens, "
                   "compared with {reference}.",
    "parity.head.format": "Format", "parity.head.program": "Used by",
    "parity.head.prompts": "Same prompts", "parity.head.answers": "Same answers",
    "parity.head.distance": "Distance", "parity.head.verdict": "Verdict",
    "parity.of": "{n} of {total}", "parity.largest": "at most {value}",
    "parity.same": "the same", "parity.close": "the same but for rounding",
    "parity.different": "different", "parity.notrun": "not compared",
    "parity.more": "{format}, {program}: {n} prompts with both answers",
    "parity.both": "Both", "parity.reference": "Trained", "parity.artefact": "Exported",
    "parity.prompt_parts": "The prompts part at token {at}: “{reference}” became “{artefact}”.",
    "parity.ends_early": "The exported model ends before token {at}.",
    "parity.goes_on": "The exported model goes on at token {at}, where the trained one ends.",
    "parity.near": "Token {at}: “{artefact}” for “{reference}”; the trained model finds both about "
                   "as likely ({margin} apart).",
    "parity.surer": "Token {at}: “{artefact}” for “{reference}”, of which the trained model is "
                    "surer ({margin} apart).",
    "parity.lacking": "Could not be compared",
}
ZH = exporting_zh.ZH
KIND_FIELDS = exporting_zh.KIND_FIELDS
FIELDS: dict[str, tuple[str, str]] = {}
MESSAGES = exporting_errors.MESSAGES
ADVICE = exporting_errors.ADVICE
REASONS = exporting_zh.REASONS
