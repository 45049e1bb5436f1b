"""Command line of the package: ``python -m assets.make starter|tokenizer|data|prove``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m assets.make", description=__doc__)
    parser.add_argument("what", choices=("starter", "tokenizer", "data", "prove"))
    parser.add_argument("--output", type=Path, help="folder to write to or to measure")
    parser.add_argument("--scratch", type=Path, help="folder of the state to resume from")
    parser.add_argument("--steps", type=int, help="steps of pre-training, for a trial")
    return parser.parse_args()


def _starter(folder: Path, scratch: Path | None, steps: int | None) -> None:
    """Makes tokenizer and weights."""
    from assets.make.pretrain import Schedule, pretrain
    from assets.make.tokenizer import save_tokenizer

    save_tokenizer(folder)
    plan = Schedule() if steps is None else Schedule(steps=steps)
    pretrain(folder, scratch or Path(tempfile.gettempdir()) / "starter-state", plan)


def main() -> None:
    """Makes or measures what the command line names."""
    args = _parse()
    starter = ROOT / "assets" / "starter"
    if args.what == "data":
        from assets.make.datasets import write_datasets

        write_datasets(args.output or ROOT / "data")
    elif args.what == "tokenizer":
        from assets.make.tokenizer import save_tokenizer

        save_tokenizer(args.output or starter)
    elif args.what == "starter":
        _starter(args.output or starter, args.scratch, args.steps)
    else:
        from assets.make.prove import Recipe, prove

        prove(args.output or starter, ROOT / "data", [Recipe(seed=seed) for seed in (42, 1, 2)])


if __name__ == "__main__":
    main()
