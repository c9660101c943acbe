"""Answers every path with who it is. The environment says how it behaves:
GREETING is part of the answer; SICK: /health answers 500; SLOW: healthy after so many seconds;
A path with `slow` in it is answered after a second, also when it is posted to.
NOTIFIES: tells systemd after so many seconds that it serves, and serves from then on.
NEEDS: ends with an error unless that URL answers at the start; STUBBORN: takes so many seconds to end.
"""
import os
import signal
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

began = time.monotonic()
said = os.environ.get


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self):
        status = 200
        if "slow" in self.path:
            time.sleep(1)
        if self.path == "/health" and (said("SICK") or time.monotonic() < began + float(said("SLOW", "0"))):
            status = 500
            print("not well today", flush=True)
        body = f"{said('SERVICE_NAME')} {said('INSTANCE_NAME')} {self.path} {said('GREETING')}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def server_bind(self):
        # Without asking who we are, for which no name server is there.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]


if said("NEEDS"):
    from urllib.request import urlopen

    urlopen(said("NEEDS") + "/health", timeout=5)
if said("STUBBORN"):
    end = threading.Timer(float(said("STUBBORN")), lambda: os._exit(0))
    signal.signal(signal.SIGTERM, lambda *_: end.start())
server = Server(("", int(os.environ["SERVICE_PORT"])), Handler)
if said("NOTIFIES"):
    import socket

    time.sleep(float(said("NOTIFIES")))
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", said("NOTIFY_SOCKET"))
server.serve_forever()
