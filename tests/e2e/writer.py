"""An OpenAI-compatible server whose answers are known, for what the starter cannot say."""

from tests.app.chats.talker import Handler, Talker

MARKDOWN = """A **bold** word and `code`:

1. one
2. two

```python
print("<b>no</b>")
```

<img src=x onerror=alert(1)> [a link](https://elsewhere.example/) ![p](https://elsewhere.example/p)
"""
THOUGHT = "first this, then that"


class Scripted(Handler):
    """Says more than a Talker."""

    def chat(self, body):
        """Answer what a person would ask."""
        last = body["messages"][-1]
        content = last["content"]
        if last["role"] == "user" and isinstance(content, list):
            self.refuse(400, "This model takes no pictures.", "unsupported_content")
        elif body.get("tools") and last["role"] == "user":
            self.do_tools(body)
        else:
            super().chat(body)

    def do_markdown(self, body):
        """Say what would be HTML in a careless page."""
        self.begin(body)
        self.say(reasoning_content=THOUGHT)
        for at in range(0, len(MARKDOWN), 7):
            self.say(content=MARKDOWN[at:at + 7])
        self.end(body)


class Writer(Talker):
    """The server in a thread, for a ``with`` block."""

    def __init__(self):
        """Open a port."""
        super().__init__()
        self.server.RequestHandlerClass = type("Bound", (Scripted,), {"talker": self})
