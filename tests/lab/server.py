"""Answers every path with who it is. The environment says how it behaves:
GREETING is part of the answer; SICK: /health answers 500; SLOW: healthy after so many seconds;
A path with `slow` in it is answered after a second, also when it is posted to. `/events` tells of ten, one each fifth of
a second; `/upload` answers how many bytes have come; `/socket` is a WebSocket that says everything back. FAILS: of so many
requests one is answered with 500, health aside. UNWELL: `/health` answers 500 once the process is so many seconds old.
NOTIFIES: tells systemd after so many seconds that it serves, and serves from then on.
NEEDS: ends with an error unless that URL answers at the start; STUBBORN: takes so many seconds to end.
"""
import base64
import hashlib
import os
import random
import signal
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

began = time.monotonic()
said = os.environ.get


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        left = length = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        if self.path == "/upload":
            return self.say(f"{length} bytes\n")
        self.do_GET()

    def say(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in range(10):
            self.wfile.write(f"data: event {number}\n\n".encode())
            time.sleep(0.2)

    def socket(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        self.wfile.write(head.encode())
        # Frames of less than 126 bytes, each masked by a client (RFC 6455, 5.2).
        while (frame := self.rfile.read(2)) and frame[0] & 15 != 8:
            mask, said = self.rfile.read(4), self.rfile.read(frame[1] & 127)
            said = bytes(byte ^ mask[place % 4] for place, byte in enumerate(said))
            self.wfile.write(bytes([129, len(said)]) + said)
        self.close_connection = True

    def do_GET(self):
        if self.path == "/events":
            return self.events()
        if self.path == "/socket":
            return self.socket()
        status = 200
        if "slow" in self.path:
            time.sleep(1)
        if self.path == "/health" and (said("SICK") or time.monotonic() < began + float(said("SLOW", "0"))):
            status = 500
            print("not well today", flush=True)
        elif self.path == "/health":
            status = 500 if said("UNWELL") and time.monotonic() > began + float(said("UNWELL")) else 200
        elif said("FAILS") and random.randrange(int(said("FAILS"))) == 0:
            status = 500
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
