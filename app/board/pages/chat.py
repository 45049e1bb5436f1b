"""The Chat page: conversations with one to four models, side by side.

Native HTML that the page's own scripts (``static/chat*.js``) fill from ``/api/chats`` and its
events; nothing passes through Gradio, so an answer that is being written costs no round of it. What
is shown stands in the address: ``/chat?id=ID``; ``/chat?models=a,b`` begins a new conversation.
"""

from __future__ import annotations

from app.board.pages import _chat_page
from app.board.pages._parts import html


class ChatPage:
    """The page in one language."""

    def __init__(self, locale: str) -> None:
        self.locale = locale

    def build(self) -> None:
        """Lay out the page; its script does the rest."""
        html(_chat_page.page(self.locale), "chat-page")
