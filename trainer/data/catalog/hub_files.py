"""Which files of a hub repository are the dataset that was asked for. Pure: nothing is fetched.

The rules are those of the hub's own card (``configs`` in the front matter of README.md) and of
the names that people give files: ``train-00000-of-00005.parquet``, ``test.jsonl``, ``dev/a.csv``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from trainer.data.reading.rows import DatasetError, listed
from trainer.data.reading.sources import format_of

_SHARD = re.compile(r"(?P<split>.+?)-(?P<number>\d{5})-of-(?P<total>\d{5})(?!\d)")
_WORDS = {"train": ("train", "training"), "validation": ("validation", "valid", "dev", "val"),
          "test": ("test", "testing", "eval", "evaluation")}
_SPLITS = {split: re.compile(rf"(?:^|[^A-Za-z])(?:{'|'.join(words)})(?:[^A-Za-z]|$)", re.I)
           for split, words in _WORDS.items()}
_ASIDE = {"readme", "license", "licence", "citation", "changelog", "contributing", "notice",
          "requirements", "dataset_info", "dataset_infos", "dataset_dict", "state", "metadata",
          "config", "configuration", "croissant", "data_card", "datasheet"}
_PLAIN = (".txt", ".md")


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its path there, its size in bytes (-1 unknown), its hashes or ''."""

    path: str
    size: int = -1
    sha256: str = ""
    git_sha1: str = ""


@dataclass(frozen=True)
class Selection:
    """The files of one split of one configuration, in order.

    ``left_out``: data files of the same configuration and split that are of another type.
    """

    files: tuple[RemoteFile, ...]
    config: str
    split: str
    splits: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Config:
    """A configuration as a card names it; no ``patterns`` means: by the files' names."""

    name: str
    patterns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folder: str = ""
    default: bool = False


def front_matter(readme: str) -> Any:
    """Return what stands before the text of a README, parsed; None for none or a broken one."""
    parts = readme.removeprefix("\ufeff").lstrip().split("---", 2)
    if len(parts) < 3 or parts[0]:
        return None
    try:
        return yaml.safe_load(parts[1])
    except (yaml.YAMLError, RecursionError, ValueError):
        return None


def select(files: Sequence[RemoteFile], card: Any, *, subset: str | None = None,
           split: str | None = None, folder: str | None = None) -> Selection:
    """Choose the files of a dataset.

    Args:
        files: What the repository holds.
        card: The front matter of its README, parsed; anything else counts as none.
        subset: The configuration; None takes the default one.
        split: None takes 'train', or the only one there is; ``train+test`` takes both.
        folder: Look only into this folder of the repository.

    Raises:
        DatasetError: There are no data files (``hub_no_data``, ``hub_script``), or the subset or
            the split has to be chosen (``hub_subset``, ``hub_split``), or shards are missing
            (``hub_incomplete``).
    """
    if split and "[" in split:
        raise DatasetError("hub_split", f"'{split}' asks for a part of a split.",
                           "Name the whole split, and take the first rows with max_samples.")
    data = [file for file in files if is_data_file(file.path)]
    if not data:
        raise _no_data(files)
    if folder:
        data = _under(data, folder)
        if not data:
            raise DatasetError("hub_no_data", f"The folder '{folder}' holds no data files.",
                               f"There are {listed(_folders(files))}.")
    config = _choose_config(data, [] if folder and not subset else _configs(card), subset)
    by_split = _by_split(data, config)
    chosen = _choose_splits(by_split, split, config.name)
    kept, left_out = _one_type([file for name in chosen for file in by_split[name]])
    _require_whole(kept)
    return Selection(tuple(kept), config.name, "+".join(chosen), tuple(by_split),
                     tuple(left_out))


def is_data_file(path: str) -> bool:
    """Tell by its name whether a file of a repository holds rows that can be read."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or not path.isprintable():
        return False
    if any(part.startswith((".", "__")) for part in parts):
        return False
    if parts[-1].split(".")[0].lower() in _ASIDE:
        return False
    return bool(_type_of(path))


def _type_of(path: str) -> str:
    """Return a file's type by its name, e.g. '.jsonl', or '' for one that cannot be read."""
    try:
        return str(format_of(Path(path))[0])
    except DatasetError:
        return ""


def _no_data(files: Sequence[RemoteFile]) -> DatasetError:
    scripts = [file.path for file in files if file.path.endswith(".py")]
    if scripts:
        return DatasetError("hub_script", f"The repository has no data files, only a program that "
                            f"would make them ('{scripts[0]}'). Programs of others are never run.",
                            "Its revision refs/convert/parquet often holds the data as files.")
    names = [file.path for file in files]
    return DatasetError("hub_no_data", "The repository holds no data files that can be read; it "
                        f"has {listed(names, 6)}.", "Choose another dataset.")


def _under(files: Iterable[RemoteFile], folder: str) -> list[RemoteFile]:
    start = f"{folder.strip('/')}/"
    return [file for file in files if file.path.startswith(start)]


def _folders(files: Iterable[RemoteFile]) -> list[str]:
    return sorted({str(PurePosixPath(file.path).parent) for file in files
                   if is_data_file(file.path) and "/" in file.path})


def _configs(card: Any) -> list[_Config]:
    """Read ``configs`` of a card; what is malformed is passed over."""
    values = card.get("configs") if isinstance(card, dict) else None
    return [_Config(str(value["config_name"]), _patterns(value.get("data_files")),
                    str(value.get("data_dir") or ""), bool(value.get("default")))
            for value in (values if isinstance(values, list) else [])
            if isinstance(value, dict) and value.get("config_name")]


def _patterns(value: Any) -> dict[str, tuple[str, ...]]:
    """Return patterns by split; '' stands for: the split is told by the files' names."""
    if isinstance(value, dict):
        return {str(split): texts for split, paths in value.items() if (texts := _texts(paths))}
    found: dict[str, tuple[str, ...]] = {}
    for item in value if isinstance(value, list) else [value]:
        split, paths = "", item
        if isinstance(item, dict):
            split, paths = str(item.get("split") or ""), item.get("path")
        if texts := _texts(paths):
            found[split] = (*found.get(split, ()), *texts)
    return found


def _texts(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(item for item in items if isinstance(item, str) and item)


def _choose_config(data: Sequence[RemoteFile], configs: list[_Config],
                   subset: str | None) -> _Config:
    if subset:
        named = next((config for config in configs if config.name == subset), None)
        if named is None and _under(data, subset):
            named = _Config(subset, folder=subset)
        if named is None:
            known = [config.name for config in configs] or _folders(data)
            raise DatasetError("hub_subset", f"The dataset has no subset '{subset}'.",
                               f"It has {listed(known)}.")
        return named
    if not configs:
        return _Config("default")
    default = [config for config in configs if config.default or config.name == "default"]
    if len(configs) > 1 and not default:
        raise DatasetError("hub_subset", "The dataset has several subsets.", "Choose one of "
                           f"{listed([config.name for config in configs])}.")
    return default[0] if default else configs[0]


def _by_split(data: Sequence[RemoteFile], config: _Config) -> dict[str, list[RemoteFile]]:
    """Sort a configuration's files into its splits."""
    if config.folder:
        data = _under(data, config.folder)
    if not config.patterns:
        return _by_name(data)
    found: dict[str, list[RemoteFile]] = {}
    for split, patterns in config.patterns.items():
        wanted = [_glob(pattern, config.folder) for pattern in patterns]
        files = [file for file in data if any(glob.fullmatch(file.path) for glob in wanted)]
        if not split:
            found.update(_by_name(files))
        elif files:
            found[split] = files
    if not found:
        raise DatasetError("hub_no_data", f"The subset '{config.name}' names no data file that "
                           "can be read.", "Choose another subset, or a folder of the repository.")
    return found


def _glob(pattern: str, folder: str) -> re.Pattern[str]:
    """Translate a card's pattern: ``*`` stays within a folder, ``**`` does not."""
    pattern = pattern.removeprefix("./")
    if folder and not pattern.startswith(f"{folder.strip('/')}/"):
        pattern = f"{folder.strip('/')}/{pattern}"
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", pattern)
    text = "".join(words.get(part) or (part if _is_set(part) else re.escape(part))
                   for part in parts)
    return re.compile(f"{text}(?:/.*)?")


def _is_set(part: str) -> bool:
    """Tell whether a part of a pattern is a plain set of characters such as ``[0-9]``."""
    return bool(re.fullmatch(r"\[!?[\w-]+\]", part)) and _compiles(part)


def _compiles(part: str) -> bool:
    try:
        re.compile(part)
    except re.error:
        return False
    return True


def _by_name(files: Sequence[RemoteFile]) -> dict[str, list[RemoteFile]]:
    """Sort files into splits by their names; 'train' when nothing tells them apart."""
    for tell in (_split_of_shard, _split_of_folders, _split_of_name):
        found: dict[str, list[RemoteFile]] = {}
        for file in files:
            if split := tell(PurePosixPath(file.path)):
                found.setdefault(split, []).append(file)
        if found:
            return found
    return {"train": list(files)} if files else {}


def _split_of_shard(path: PurePosixPath) -> str:
    found = _SHARD.match(path.name)
    return found["split"] if found else ""


def _split_of_name(path: PurePosixPath) -> str:
    return next((split for split, word in _SPLITS.items() if word.search(path.name)), "")


def _split_of_folders(path: PurePosixPath) -> str:
    return next((split for part in reversed(path.parts[:-1])
                 for split, word in _SPLITS.items() if word.search(part)), "")


def _choose_splits(by_split: Mapping[str, list[RemoteFile]], split: str | None,
                   config: str) -> list[str]:
    """Return the splits that are meant; several are written ``train+test``."""
    if split is None:
        split = "train" if "train" in by_split or len(by_split) > 1 else next(iter(by_split))
    names = list(dict.fromkeys(name.strip() for name in split.split("+")))
    for name in names:
        if name not in by_split:
            raise DatasetError("hub_split", f"The subset '{config}' has no split '{name}'.",
                               f"It has {listed(list(by_split))}.")
    return names


def _one_type(files: Sequence[RemoteFile]) -> tuple[list[RemoteFile], list[str]]:
    """Keep the files of the commonest type, structured ones before plain text."""
    types = {file.path: _type_of(file.path) for file in files}
    counts = Counter(types.values())
    chosen = max(counts, key=lambda kind: (kind not in _PLAIN, counts[kind], kind))
    kept = [file for file in files if types[file.path] == chosen]
    return (sorted(kept, key=lambda file: file.path),
            sorted(path for path, kind in types.items() if kind != chosen))


def _require_whole(files: Sequence[RemoteFile]) -> None:
    """Refuse shards of which some are missing, and shards of several datasets mixed together."""
    groups: dict[tuple[str, int], Counter[int]] = {}
    for file in files:
        if found := _SHARD.match(PurePosixPath(file.path).name):
            group = (found["split"], int(found["total"]))
            groups.setdefault(group, Counter())[int(found["number"])] += 1
    for (split, total), numbers in groups.items():
        if max(numbers.values()) > 1:
            raise DatasetError("hub_subset", f"Several folders hold a split '{split}'.",
                               f"Choose the subset: {listed(_folders(files))}.")
        if missing := sorted(set(range(total)) - set(numbers)):
            raise DatasetError("hub_incomplete", f"{len(missing)} of the {total} files of "
                               f"'{split}' are missing, the first is number {missing[0]}.",
                               "Download the dataset again while there is a network.")
