//! The fleet that `evenkeel init` writes: small, commented, and without errors.

use crate::model::name::FleetName;

/// Files by their path below the fleet folder. One instance, one service, one site.
pub fn starter(name: &FleetName) -> Vec<(String, String)> {
    [
        ("fleet.yaml", FLEET.replace("NAME", name.as_str())),
        ("environments/production.yaml", ENVIRONMENT.to_owned()),
        ("instances/web-1.yaml", INSTANCE.to_owned()),
        ("services/hello.yaml", SERVICE.to_owned()),
        ("sites/www.yaml", SITE.to_owned()),
        ("hello/server.py", PROGRAM.to_owned()),
        ("www/index.html", PAGE.to_owned()),
    ]
    .map(|(path, text)| (path.to_owned(), text))
    .into()
}

const FLEET: &str = "\
# What holds for the whole fleet. Keys are checked: `evenkeel validate` names every mistake at once.
name: NAME            # the prefix of everything evenkeel makes on a host
ssh: {user: root}     # any other user needs sudo without a password
defaults:
  user: www-data      # what services run as, unless they say otherwise
# What services may ask of root beyond what is safe without a grant: that user, files below
# /etc/evenkeel.d/NAME/SERVICE/, and to replace units that a host does not need. Only the default branch's copy of
# this file counts.
# allow:
#   users: [postgres]
#   env_files: [/etc/NAME/*.env]
";

const ENVIRONMENT: &str = "\
# An environment follows a branch: what is merged there is deployed.
branch: main
";

const INSTANCE: &str = "\
# One host. The file's name is the instance's name.
environment: production
address: 192.0.2.10   # replace with the host's own
# Nothing connects before the host's key is pinned. Print it with
#   ssh-keyscan -t ed25519 ADDRESS
# and compare it with /etc/ssh/ssh_host_ed25519_key.pub on the host's console.
# host_key: ssh-ed25519 AAAA…
ports: 8100-8199      # what its services may use
labels: {role: web}
packages: [nginx-light, python3]
";

const SERVICE: &str = "\
# A program kept running by systemd. It finds its port in $SERVICE_PORT.
description: Says hello
source: {path: hello} # a folder here; its files become a release
run: {exec: /usr/bin/python3 server.py}
place: {on: [web-1]}  # or {where: {role: web}}
port: 8100
env: {GREETING: hello}
health: {http: /}
# A change starts a second copy beside the first; nginx at the port leads to it once it is healthy.
rollout: {strategy: blue-green}
";

const SITE: &str = "\
# An nginx server: files as they are, and routes to services.
domain: _             # any name; write your own here
on: [web-1]
frontend: {source: {path: www}}
routes:
  /api/: {service: hello}
replaces_default: true # the distribution's own site answers to any name too
";

const PROGRAM: &str = r#"import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        body = (os.environ["GREETING"] + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# nginx alone calls it: at the service's own port it leads here.
ThreadingHTTPServer(("127.0.0.1", int(os.environ["SERVICE_PORT"])), Hello).serve_forever()
"#;

const PAGE: &str =
    "<!doctype html>\n<title>It works</title>\n<p>Replace the folder <code>www</code> with your own.</p>\n";
