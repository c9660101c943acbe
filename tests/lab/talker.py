"""A service that shows what nginx makes of a request: /headers answers the request's headers as JSON, /slow
takes three seconds, /events sends one event and then is silent for a while, /ws speaks WebSocket as far as a
test needs. A POST answers how much it carried.
"""
import json
import os
import socketserver
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.wfile.write(b"echo: " + self.rfile.readline())
            self.close_connection = True
        elif self.path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"data: first\n\n")
            time.sleep(5)
            self.wfile.write(b"data: last\n\n")
            self.close_connection = True
        else:
            if self.path == "/slow":
                time.sleep(3)
            self.answer(json.dumps(dict(self.headers)))

    def do_POST(self):
        self.answer(str(len(self.rfile.read(int(self.headers["Content-Length"])))))

    def answer(self, body):
        self.send_response(200)
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("X-Own", "the service's")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def server_bind(self):
        # Without asking who we are, for which no name server is there.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]


Server(("", int(os.environ["SERVICE_PORT"])), Handler).serve_forever()
