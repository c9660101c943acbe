"""A package index for the host that it runs on, and for nobody else: python3 index.py PORT.

Below /simple/ it serves whoever asks, below /private/ who knows the password. It has one package, `greeting`, in the
versions 1.0 and 2.0: a module, and a program `greet` that answers every request with what it is.
"""
import base64
import hashlib
import io
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODULE = '''
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

VERSION = "{version}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"greeting {{VERSION}} of {{sys.prefix}}".encode())

    def log_message(self, *_):
        pass


def serve():
    HTTPServer(("127.0.0.1", int(os.environ["SERVICE_PORT"])), Handler).serve_forever()
'''


def wheel(version):
    """The bytes of a wheel (packaging.python.org, binary distribution format). The same each time."""
    info = f"greeting-{version}.dist-info"
    files = {
        "greeting.py": MODULE.format(version=version),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ngreet = greeting:serve\n",
    }
    record = ""
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()


WHEELS = {f"greeting-{version}-py3-none-any.whl": wheel(version) for version in ["1.0", "2.0"]}
PASSWORD = "Basic " + base64.b64encode(b"reader:open-sesame").decode()


class Index(BaseHTTPRequestHandler):
    def do_GET(self):
        folder, _, name = self.path.rstrip("/").rpartition("/")
        if self.path.startswith("/private/") and self.headers.get("Authorization") != PASSWORD:
            self.answer(401, b"")
        elif name == "greeting":
            links = [f'<a href="{wheel}#sha256={hashlib.sha256(content).hexdigest()}">{wheel}</a>' for wheel, content in WHEELS.items()]
            self.answer(200, "<!doctype html>\n".encode() + "\n".join(links).encode(), "text/html")
        elif name in WHEELS:
            self.answer(200, WHEELS[name])
        else:
            self.answer(404, b"")

    def answer(self, status, body, kind="application/octet-stream"):
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if sys.argv[1] == "digest":
    print(hashlib.sha256(WHEELS[f"greeting-{sys.argv[2]}-py3-none-any.whl"]).hexdigest())
else:
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Index).serve_forever()
