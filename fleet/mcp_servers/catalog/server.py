"""A connector over a list of items: `server.py NAME` serves data/NAME.json.

    GET /items            all items; any field narrows them: /items?status=open
    GET /items/ID         one item

Seven services run this folder and so share its release: a change to any file in it restarts all seven.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

PORT = int(os.environ["SERVICE_PORT"])
HEALTH = {
    "status": "ok",
    "service": os.environ.get("SERVICE_NAME"),
    "instance": os.environ.get("INSTANCE_NAME"),
    "port": PORT,
    "release": os.environ.get("EVENKEEL_RELEASE"),
}
CATALOG: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / f"{sys.argv[1]}.json").read_text("utf-8")
)


def matches(item: dict[str, Any], wanted: list[tuple[str, str]]) -> bool:
    return all(str(item.get(field, "")).lower() == value.lower() for field, value in wanted)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: Nagle would hold the second back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/health":
            return self.answer(200, HEALTH)
        if url.path == "/items":
            wanted = parse_qsl(url.query)
            items = [item for item in CATALOG["items"] if matches(item, wanted)]
            return self.answer(200, {"source": CATALOG["source"], "items": items})
        if url.path.startswith("/items/"):
            key = unquote(url.path.removeprefix("/items/"))
            for item in CATALOG["items"]:
                if item["id"] == key:
                    return self.answer(200, item)
        self.answer(404, {"error": f"nothing at {url.path}"})

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
