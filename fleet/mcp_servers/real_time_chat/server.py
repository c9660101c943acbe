"""One chat room, as messages and as a live stream.

    GET  /messages?after=N    messages with a number above N
    POST /messages            {"author": "…", "text": "…"}; "/remember TEXT" also stores TEXT in ai_memory_mcp
    GET  /stream?after=N      the same, as server-sent events, for as long as the client listens
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PORT = int(os.environ["SERVICE_PORT"])
HEALTH = {
    "status": "ok",
    "service": os.environ.get("SERVICE_NAME"),
    "instance": os.environ.get("INSTANCE_NAME"),
    "port": PORT,
    "release": os.environ.get("EVENKEEL_RELEASE"),
}
LOG = Path(os.environ["STATE_DIRECTORY"]) / "messages.jsonl"
LARGEST_BODY = 64 * 1024
# A proxy closes a stream that is silent for a minute.
HEARTBEAT_SECONDS = 15.0

Message = dict[str, Any]
MESSAGES: list[Message] = (
    [json.loads(line) for line in LOG.read_text("utf-8").splitlines()] if LOG.exists() else []
)
CHANGED = threading.Condition()


def post(author: str, text: str) -> Message:
    with CHANGED:
        message = {"n": len(MESSAGES) + 1, "author": author, "text": text}
        with LOG.open("a", encoding="utf-8") as file:
            file.write(json.dumps(message) + "\n")
        MESSAGES.append(message)
        CHANGED.notify_all()
        return message


def remember(key: str, text: str) -> bool:
    """False when the memory is down: the message is kept here all the same."""
    try:
        request = urllib.request.Request(
            f"{os.environ.get('MEMORY_URL', '')}/memories/{key}",
            data=json.dumps({"text": text}).encode(),
            headers={"Content-Type": "application/json"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=2):
            return True
    except (OSError, ValueError, http.client.HTTPException):
        return False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: Nagle would hold the second back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        number = parse_qs(url.query).get("after", ["0"])[0]
        after = int(number) if number.isdecimal() else 0
        if url.path == "/health":
            self.answer(200, HEALTH)
        elif url.path == "/messages":
            self.answer(200, {"messages": MESSAGES[after:]})
        elif url.path == "/stream":
            self.stream(after)
        else:
            self.answer(404, {"error": f"nothing at {url.path}"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > LARGEST_BODY:
            self.close_connection = True  # its body is left unread
            return self.answer(413, {"error": f"at most {LARGEST_BODY} bytes"})
        body = self.rfile.read(length)
        if self.path != "/messages":
            return self.answer(404, {"error": f"nothing at {self.path}"})
        try:
            given = json.loads(body)
            author, text = str(given["author"]), str(given["text"])
        except (ValueError, KeyError, TypeError):
            return self.answer(400, {"error": 'expected {"author": "…", "text": "…"}'})
        message = post(author, text)
        if text.startswith("/remember "):
            fact = text.removeprefix("/remember ")
            message = message | {"remembered": remember(f"chat.{message['n']}", fact)}
        self.answer(201, message)

    def stream(self, sent: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Accel-Buffering", "no")  # nginx would hold events back
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while True:
                with CHANGED:
                    CHANGED.wait_for(lambda: len(MESSAGES) > sent, HEARTBEAT_SECONDS)
                    news = MESSAGES[sent:]
                for message in news:
                    event = f"id: {message['n']}\ndata: {json.dumps(message)}\n\n"
                    self.wfile.write(event.encode())
                    sent = message["n"]
                if not news:
                    self.wfile.write(b":\n\n")
        except OSError:
            pass  # the listener left

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent: health checks would fill the journal."""


# Five, the default, makes a burst of callers wait a second for a retransmission.
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()
