"""Finds documents and memories by meaning: cosine similarity of weighted words.

    GET /search?q=…&k=3    the k best, each with its score

The corpus is indexed once; what ai_memory_mcp holds is asked for with each search, and left out when it
is down.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PORT = int(os.environ["SERVICE_PORT"])
HEALTH = {
    "status": "ok",
    "service": os.environ.get("SERVICE_NAME"),
    "instance": os.environ.get("INSTANCE_NAME"),
    "port": PORT,
    "release": os.environ.get("EVENKEEL_RELEASE"),
}
Vector = dict[str, float]
WORD = re.compile(r"[a-z0-9]+")
CORPUS: list[dict[str, str]] = json.loads(
    (Path(__file__).parent / "corpus.json").read_text("utf-8")
)


def words(text: str) -> list[str]:
    # A plural is the same word: enough stemming for English this plain.
    return [w[:-1] if len(w) > 3 and w.endswith("s") else w for w in WORD.findall(text.lower())]


SPREAD = Counter(word for entry in CORPUS for word in set(words(entry["text"])))


def vector(text: str) -> Vector:
    """Of length one; a word counts for less the more documents have it."""
    weights = {
        word: count * math.log(1 + len(CORPUS) / (1 + SPREAD[word]))
        for word, count in Counter(words(text)).items()
    }
    length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
    return {word: weight / length for word, weight in weights.items()}


def memories() -> list[dict[str, str]]:
    try:
        url = os.environ.get("MEMORY_URL", "") + "/memories"
        with urllib.request.urlopen(url, timeout=1) as answer:
            known = json.load(answer)["memories"]
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return []
    return [{"id": f"memory:{one['key']}", "text": one["text"]} for one in known]


INDEX = [(entry, vector(entry["text"])) for entry in CORPUS]


def search(query: str, k: int) -> list[dict[str, object]]:
    wanted = vector(query)
    index = INDEX + [(entry, vector(entry["text"])) for entry in memories()]
    scored = [
        (sum(weight * have.get(word, 0.0) for word, weight in wanted.items()), entry)
        for entry, have in index
    ]
    best = sorted(scored, key=lambda pair: -pair[0])[:k]
    return [entry | {"score": round(score, 4)} for score, entry in best if score > 0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: Nagle would hold the second back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/health":
            self.answer(200, HEALTH)
        elif url.path == "/search" and "q" in query:
            k = query.get("k", "3")
            results = search(query["q"], min(int(k), 50) if k.isdecimal() else 3)
            self.answer(200, {"query": query["q"], "results": results})
        elif url.path == "/search":
            self.answer(400, {"error": "expected /search?q=…"})
        else:
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
