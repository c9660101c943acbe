"""Long-term memory: short texts under keys, kept across restarts and releases.

    GET    /memories        all of them, newest last
    GET    /memories/KEY    one
    PUT    /memories/KEY    {"text": "…"}
    DELETE /memories/KEY
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = int(os.environ["SERVICE_PORT"])
HEALTH = {
    "status": "ok",
    "service": os.environ.get("SERVICE_NAME"),
    "instance": os.environ.get("INSTANCE_NAME"),
    "port": PORT,
    "release": os.environ.get("EVENKEEL_RELEASE"),
}
KEY = re.compile(r"/memories/([A-Za-z0-9._-]{1,100})")
LARGEST_BODY = 64 * 1024


class Memories:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.entries: dict[str, dict[str, object]] = (
            json.loads(path.read_text("utf-8")) if path.exists() else {}
        )

    def put(self, key: str, text: str) -> bool:
        """True when the key is new."""
        with self.lock:
            new = key not in self.entries
            rest = {k: v for k, v in self.entries.items() if k != key}
            self._save(rest | {key: {"key": key, "text": text, "at": int(time.time())}})
            return new

    def delete(self, key: str) -> bool:
        with self.lock:
            found = key in self.entries
            if found:
                self._save({k: v for k, v in self.entries.items() if k != key})
            return found

    def _save(self, entries: dict[str, dict[str, object]]) -> None:
        # Renamed into place: a crash leaves the old file or the new one, never half of it.
        temporary = self.path.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(entries, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        self.entries = entries


MEMORIES = Memories(Path(os.environ["STATE_DIRECTORY"]) / "memories.json")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: Nagle would hold the second back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/health":
            return self.answer(200, HEALTH)
        if self.path == "/memories":
            return self.answer(200, {"memories": list(MEMORIES.entries.values())})
        entry = MEMORIES.entries.get(self.key())
        self.answer(200 if entry else 404, entry or {"error": "no such memory"})

    def do_PUT(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > LARGEST_BODY:
            self.close_connection = True  # its body is left unread
            return self.answer(413, {"error": f"at most {LARGEST_BODY} bytes"})
        try:
            text = json.loads(self.rfile.read(length))["text"]
        except (ValueError, KeyError, TypeError):
            text = None
        if not isinstance(text, str) or not text or not self.key():
            return self.answer(400, {"error": 'expected PUT /memories/KEY with {"text": "…"}'})
        new = MEMORIES.put(self.key(), text)
        self.answer(201 if new else 200, MEMORIES.entries.get(self.key()))

    def do_DELETE(self) -> None:
        found = MEMORIES.delete(self.key())
        self.answer(200 if found else 404, {"deleted": found})

    def key(self) -> str:
        match = KEY.fullmatch(self.path)
        return match[1] if match else ""

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
