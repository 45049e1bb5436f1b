"""Role names as datasets write them."""

from __future__ import annotations

from typing import Literal

from trainer.data.reading.entry import Tags

TurnRole = Literal["system", "user", "assistant", "tool", "call"]
_NAMES: dict[TurnRole, str] = {
    "system": "system developer system_prompt 系统",
    "user": "user human prompter questioner asker customer q 用户 人类 问",
    "assistant": "assistant gpt model bot ai chatgpt chatbot llm bing bard claude agent a "
                 "助手 助理 机器人 答",
    "tool": "tool observation function function_response function_result tool_response "
            "tool_result tool_results ipython",
    "call": "function_call tool_call"}
ALIASES: dict[str, TurnRole] = {name: role for role, names in _NAMES.items()
                                for name in names.split()}
# What is surely one side of a conversation when turns are written as objects with both sides.
SIDES: tuple[tuple[str, str], ...] = (
    ("human", "assistant"), ("user", "assistant"), ("human", "gpt"), ("user", "bot"),
    ("input", "output"), ("question", "answer"), ("query", "response"), ("prompt", "response"),
    ("instruction", "output"), ("q", "a"), ("问", "答"))


def plain_role(name: str) -> str:
    """Return a role's name as it is compared: small letters, '_' for hyphens and blanks."""
    return name.strip().strip(":：").lower().replace("-", "_").replace(" ", "_")


def role_of(name: str) -> TurnRole | None:
    """Return what a well-known role name means, or None."""
    return ALIASES.get(name) or ALIASES.get(plain_role(name))


def named_roles(tags: Tags, aliases: bool) -> dict[str, TurnRole]:
    """Return what each role name means; the tags go before the well-known names.

    Args:
        tags: The names that a dataset's registry entry or mapping gives.
        aliases: Whether well-known names are understood besides.
    """
    named: list[tuple[str | None, TurnRole]] = [
        (tags.user_tag, "user"), (tags.assistant_tag, "assistant"),
        (tags.observation_tag, "tool"), (tags.function_tag, "call"), (tags.system_tag, "system")]
    return (ALIASES if aliases else {}) | {name: role for name, role in named if name}
