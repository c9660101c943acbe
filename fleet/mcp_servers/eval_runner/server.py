"""Measures the search: asks it every question of cases.json and counts what it finds.

    GET /run    the share of questions whose document is first, and among the first three

503 when the search does not answer: a score of nothing would read as a bad search.
"""

from __future__ import annotations

import http.client
import json
import os
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
CASES: list[dict[str, str]] = json.loads((Path(__file__).parent / "cases.json").read_text("utf-8"))


def found(question: str) -> list[str]:
    url = f"{os.environ.get('SEARCH_URL', '')}/search?{urlencode({'q': question, 'k': 3})}"
    with urllib.request.urlopen(url, timeout=2) as answer:
        return [result["id"] for result in json.load(answer)["results"]]


def run() -> dict[str, Any]:
    results = [case | {"found": found(case["question"])} for case in CASES]
    first = sum(case["expects"] in case["found"][:1] for case in results)
    top3 = sum(case["expects"] in case["found"] for case in results)
    return {
        "first": round(first / len(CASES), 3),
        "top3": round(top3 / len(CASES), 3),
        "missed": [case for case in results if case["expects"] not in case["found"]],
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: Nagle would hold the second back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, HEALTH)
        elif self.path == "/run":
            try:
                self.answer(200, run())
            except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
                self.answer(503, {"error": f"the search does not answer: {error}"})
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
