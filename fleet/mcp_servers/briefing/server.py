"""The day in one page, gathered from the other services when it is asked for.

    GET /briefing    {"calls", "issues", "threads", "memories", "missing"}

A service that does not answer is named in "missing"; the rest of the page stands.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = int(os.environ["SERVICE_PORT"])
HEALTH = {
    "status": "ok",
    "service": os.environ.get("SERVICE_NAME"),
    "instance": os.environ.get("INSTANCE_NAME"),
    "port": PORT,
    "release": os.environ.get("EVENKEEL_RELEASE"),
}
# section: where its service is, what to ask it, and the list to take from the answer
SECTIONS = {
    "calls": ("GONG_URL", "/transcripts", "transcripts"),
    "issues": ("LINEAR_URL", "/items?status=in+progress", "items"),
    "threads": ("SLACK_URL", "/items", "items"),
    "memories": ("MEMORY_URL", "/memories", "memories"),
}


def gather(section: str) -> Any:
    variable, path, field = SECTIONS[section]
    try:
        with urllib.request.urlopen(os.environ.get(variable, "") + path, timeout=2) as answer:
            return json.load(answer)[field]
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return None


def briefing() -> dict[str, Any]:
    with ThreadPoolExecutor(len(SECTIONS)) as pool:
        page = dict(zip(SECTIONS, pool.map(gather, SECTIONS)))
    missing = [section for section, found in page.items() if found is None]
    return {section: found for section, found in page.items() if found is not None} | {
        "missing": missing
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: Nagle would hold the second back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, HEALTH)
        elif self.path == "/briefing":
            self.answer(200, briefing())
        else:
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
