"""Read-only SQL over the accounts database.

    GET /tables              names and columns
    GET /query?sql=SELECT…   at most 200 rows

An SQLite file stands in for PostgreSQL, so that the example runs on a bare host. It is filled from
seed.sql once and then belongs to the host: a release never overwrites it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
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
DATABASE = Path(os.environ["STATE_DIRECTORY"]) / "accounts.sqlite"
MOST_ROWS = 200
LONGEST_QUERY_SECONDS = 2.0
TABLES = "SELECT m.name AS 'table', c.name AS 'column', c.type FROM sqlite_master m, pragma_table_info(m.name) c"


def fill() -> None:
    if DATABASE.exists():
        return
    temporary = DATABASE.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with closing(sqlite3.connect(temporary)) as database:
        database.executescript((Path(__file__).parent / "seed.sql").read_text("utf-8"))
    temporary.replace(DATABASE)


def rows(sql: str) -> list[dict[str, object]]:
    deadline = time.monotonic() + LONGEST_QUERY_SECONDS
    with closing(sqlite3.connect(f"{DATABASE.as_uri()}?mode=ro", uri=True)) as database:
        # mode=ro guards this file only; query_only and the ban on ATTACH guard all others.
        database.execute("PRAGMA query_only = ON")
        database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        database.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        cursor = database.execute(sql)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row)) for row in cursor.fetchmany(MOST_ROWS)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: Nagle would hold the second back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/health":
            self.answer(200, HEALTH)
        elif url.path == "/tables":
            self.answer(200, {"columns": rows(TABLES)})
        elif url.path == "/query":
            try:
                self.answer(200, {"rows": rows(parse_qs(url.query).get("sql", [""])[0])})
            except (sqlite3.Error, sqlite3.Warning, TypeError, ValueError) as error:
                self.answer(400, {"error": str(error)})
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


fill()
# Five, the default, makes a burst of callers wait a second for a retransmission.
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()
