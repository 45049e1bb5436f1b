"""An engine that costs next to nothing: ``python -m bench.stub_engine PORT CHUNKS_PER_S``.

Every question gets its first chunk at once; after that all streams share the rate in turn. How many
chunks there are is ``max_tokens``. Who asks for no stream has the whole answer at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from contextlib import suppress

TICK_S = 0.002
_HEAD = (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
         b"transfer-encoding: chunked\r\n\r\n")


def framed(data: bytes) -> bytes:
    """Return a piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(number: int) -> bytes:
    """Return one chunk as vLLM writes it."""
    body = {"id": "chatcmpl-0123456789abcdef", "object": "chat.completion.chunk", "created": 1,
            "model": "stub", "choices": [{"index": 0, "delta": {"content": f" word{number}"},
                                          "logprobs": None, "finish_reason": None}]}
    return framed(b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n")


EVENTS = [event(number) for number in range(512)]
END = framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def whole(count: int) -> bytes:
    """Return an answer that is no stream, as vLLM writes it."""
    words = "".join(f" word{number % len(EVENTS)}" for number in range(count))
    body = json.dumps({
        "id": "chatcmpl-0123456789abcdef", "object": "chat.completion", "created": 1,
        "model": "stub", "usage": {"prompt_tokens": 100, "completion_tokens": count},
        "choices": [{"index": 0, "message": {"role": "assistant", "content": words},
                     "logprobs": None, "finish_reason": "length"}]}).encode()
    return (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % len(body) + body)


class Engine:
    """All streams of the server, and the clock that they share."""

    def __init__(self, chunks_per_s: float) -> None:
        """Serve nobody yet."""
        self._rate = chunks_per_s
        self._streams: deque[tuple[asyncio.StreamWriter, deque[bytes]]] = deque()

    async def pace(self) -> None:
        """Give out as many chunks as the time allows, to one stream after the other."""
        clock = asyncio.get_running_loop().time
        begin, sent = clock(), 0
        while True:
            await asyncio.sleep(TICK_S)
            due = int((clock() - begin) * self._rate) - sent
            # What nobody was there to take is not owed.
            if not self._streams or due > self._rate * 0.1:
                begin, sent, due = clock(), 0, min(due, int(self._rate * 0.1))
            for _ in range(due if self._streams else 0):
                if not self._streams:
                    break
                self._step()
                sent += 1

    def _step(self) -> None:
        writer, left = self._streams.popleft()
        if writer.is_closing():
            return
        writer.write(left.popleft())
        if left:
            self._streams.append((writer, left))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the questions of one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                            if line.startswith(b"content-length:"))
                asked = json.loads(await reader.readexactly(size))
                count = asked["max_tokens"]
                if not asked.get("stream"):
                    writer.write(whole(count))
                    continue
                writer.write(_HEAD + EVENTS[0])
                rest = [EVENTS[number % len(EVENTS)] for number in range(1, count)]
                self._streams.append((writer, deque([*rest[:-1], rest[-1] + END])))
        writer.close()


async def main(port: int, chunks_per_s: float) -> None:
    """Serve until the process is ended."""
    engine = Engine(chunks_per_s)
    server = await asyncio.start_server(engine.serve, "127.0.0.1", port)
    async with server:
        print("ready", flush=True)
        await engine.pace()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
