"""Call transcripts, and the notes people add to them.

    GET  /transcripts             all, without their text
    GET  /transcripts/ID          one, with its notes and what postgres_mcp knows of the account
    POST /transcripts/ID/notes    {"text": "…"}; also remembered by ai_memory_mcp

Both other services may be down: the answer then lacks their part.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

PORT = int(os.environ["SERVICE_PORT"])
HEALTH = {
    "status": "ok",
    "service": os.environ.get("SERVICE_NAME"),
    "instance": os.environ.get("INSTANCE_NAME"),
    "port": PORT,
    "release": os.environ.get("EVENKEEL_RELEASE"),
}
NOTES = Path(os.environ["STATE_DIRECTORY"]) / "notes.jsonl"
NOTES_LOCK = threading.Lock()
LARGEST_BODY = 64 * 1024
TRANSCRIPTS: dict[str, dict[str, Any]] = {
    call["id"]: call
    for call in json.loads((Path(__file__).parent / "transcripts.json").read_text("utf-8"))
}


def ask(variable: str, path: str, method: str = "GET", body: object = None) -> Any:
    """What the service at the URL in `variable` answers; None when it does not."""
    request = urllib.request.Request(
        os.environ.get(variable, "") + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=2) as answer:
        return json.load(answer)


def account(name: str) -> Any:
    quoted = name.replace("'", "''")
    query = urlencode({"sql": f"SELECT * FROM accounts WHERE name = '{quoted}'"})
    try:
        rows = ask("POSTGRES_URL", f"/query?{query}")["rows"]
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return None
    return rows[0] if rows else None


def remember(key: str, text: str) -> bool:
    try:
        ask("MEMORY_URL", f"/memories/{key}", "PUT", {"text": text})
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def notes(call: str) -> list[dict[str, Any]]:
    with NOTES_LOCK:
        lines = NOTES.read_text("utf-8").splitlines() if NOTES.exists() else []
    return [note for note in map(json.loads, lines) if note["call"] == call]


def add_note(call: str, text: str) -> dict[str, Any]:
    note = {"call": call, "text": text, "at": int(time.time())}
    with NOTES_LOCK, NOTES.open("a", encoding="utf-8") as file:
        file.write(json.dumps(note) + "\n")
    return note


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: Nagle would hold the second back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        match self.path.split("/")[1:]:
            case ["health"]:
                self.answer(200, HEALTH)
            case ["transcripts"]:
                calls = [
                    {k: v for k, v in call.items() if k != "text"} for call in TRANSCRIPTS.values()
                ]
                self.answer(200, {"transcripts": calls})
            case ["transcripts", call] if call in TRANSCRIPTS:
                known = TRANSCRIPTS[call]
                extra = {"notes": notes(call), "account_facts": account(known["account"])}
                self.answer(200, known | extra)
            case _:
                self.answer(404, {"error": f"nothing at {self.path}"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > LARGEST_BODY:
            self.close_connection = True  # its body is left unread
            return self.answer(413, {"error": f"at most {LARGEST_BODY} bytes"})
        body = self.rfile.read(length)
        match self.path.split("/")[1:]:
            case ["transcripts", call, "notes"] if call in TRANSCRIPTS:
                try:
                    text = json.loads(body)["text"]
                except (ValueError, KeyError, TypeError):
                    text = None
                if not isinstance(text, str) or not text:
                    return self.answer(400, {"error": 'expected {"text": "…"}'})
                note = add_note(call, text)
                remembered = remember(f"gong.{call}.{note['at']}", text)
                self.answer(201, note | {"remembered": remembered})
            case _:
                self.answer(404, {"error": f"nothing at {self.path}"})

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
