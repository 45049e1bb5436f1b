"""How far an artefact may be from the model that was trained: one row a format, with its reason.

Distances are of log-probabilities (nats), between the trained model and the artefact, of the tokens
that the trained model answers. The measured values are those of docs/export.md, of the starter:
5.8 million weights, which suffer more from rounding than a large model's do. Bounds are about three
times what was measured, so that another model and other prompts keep within them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bound:
    """What a format's rounding may do.

    Attributes:
        mean: Largest mean distance.
        largest: Largest distance of any token.
        tie: Two candidates of the trained model that are no further apart than this may change
            places.
        why: Where the numbers come from.
    """

    mean: float
    largest: float
    tie: float
    why: str

    def wider(self, other: Bound) -> Bound:
        """Return the looser of two bounds: what rounds most decides."""
        return max(self, other, key=lambda bound: bound.mean)


_EXACT = Bound(0.002, 0.02, 0.02, "nothing but the order of sums; measured 0.0003, at most 0.004")
_F16 = Bound(0.004, 0.04, 0.03, "11 bits stay, also of what is computed; measured 0.001, at most "
                                "0.010")
_BF16 = Bound(0.025, 0.25, 0.15, "8 bits stay, also of what is computed; measured 0.007, at most "
                                "0.062")
_Q8 = Bound(0.03, 0.3, 0.2, "8 bits and a scale for 32 weights; measured 0.010, at most 0.097, "
                            "ties up to 0.120")
_Q6 = Bound(0.06, 0.6, 0.3, "6 bits: not measured, between q8_0 and 5 bits")
_Q5 = Bound(0.12, 1.5, 0.5, "5 bits: not measured, half of what 4 bits do")
_Q4 = Bound(0.25, 3.0, 1.0, "4 bits; measured for q4_0: 0.084, at most 1.35, ties up to 0.353")
_Q3 = Bound(0.5, 4.0, 1.5, "3 bits: not measured, twice what 4 bits do")
_Q2 = Bound(1.0, 6.0, 2.0, "2 bits: not measured, twice what 3 bits do")
_FP8 = Bound(0.12, 1.5, 0.5, "3 or 2 bits of a weight's fraction: not measured, as 5 bits")

BOUNDS: dict[str, Bound] = {
    "f32": _EXACT, "float32": _EXACT, "f16": _F16, "float16": _F16, "bf16": _BF16,
    "bfloat16": _BF16, "q8_0": _Q8, "int8": _Q8, "q6_k": _Q6, "q5": _Q5, "fp8": _FP8,
    "q4": _Q4, "iq4": _Q4, "nf4": _Q4, "fp4": _Q4, "gptq": _Q4, "awq": _Q4, "q3": _Q3, "iq3": _Q3,
    "q2": _Q2, "iq2": _Q2}


def bound_of(kind: str) -> Bound | None:
    """Return the bound of a format, None for one that the table does not know.

    Args:
        kind: Such as 'bfloat16', 'gguf-q4_k_m' or 'gptq-4bit': the longest name in the table that
            it begins with counts.
    """
    name = kind.lower().removeprefix("gguf-").replace("-", "_")
    known = [key for key in BOUNDS if name.startswith(key)]
    return BOUNDS[max(known, key=len)] if known else None


def bound_between(*kinds: str) -> Bound:
    """Return the loosest bound of what was stored and what was computed in.

    What the table does not know counts as four bits, and an empty name as nothing.
    """
    found = _EXACT
    for kind in filter(None, kinds):
        found = found.wider(bound_of(kind) or _Q4)
    return found
