//! nginx at the port of a service that runs as one of two copies.
//!
//! Owns: the file by which nginx holds the service's port and leads it to one copy. Keeps true: whoever calls the port finds
//! what the service itself would answer there: bodies of any size and pace, answers that come piece by piece, WebSockets,
//! long silences, raw paths, any header, the `Host` that was sent. The file needs no other file of evenkeel's, so it can be
//! read before those, and nginx shows by an answer of its own to which copy it leads. Both copies are named, the other one
//! as `backup`: a connection that an older worker took before the switch, and that speaks after it, is answered by whoever
//! lives. Never does: what no HTTP proxy can: HTTP/2 without TLS (gRPC), other protocols, `OPTIONS *`, the caller's address
//! but in X-Forwarded-For.
//!
//! Sources: nginx's documentation of its core, proxy, upstream and map modules. `max_fails=0`: with a second server nginx
//! would leave the first one out for ten seconds after one failed try. `proxy_next_upstream error`: by default a request
//! that is slow is done a second time. A connection to a copy is closed after each answer, for one that is kept may be
//! closed by the copy just as the next request is sent. By default nginx hides some headers of answers, and obeys others
//! (`X-Accel-…`), which are not meant for it here.

use std::fmt::Write as _;

use super::made_from;
use crate::model::{
    desired::Front,
    digest::Digest,
    fleet::{Fleet, Service},
    nginx::{Proof, loopback_server},
    paths,
    rollout::{PrivatePorts, Slot},
};

/// Answers reach the caller with these as they are.
const PASSED: [&str; 8] = [
    "Date",
    "Server",
    "X-Pad",
    "X-Accel-Redirect",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
];

/// The file at a service's port while nginx leads to the copy in `slot`.
pub fn front(fleet: &Fleet, service: &Service, ports: PrivatePorts, slot: Slot) -> (String, Front) {
    let answer = Digest::of(text(fleet, service, ports, slot, ""));
    let front = Front {
        path: paths::front_file(&fleet.name, &service.name, service.port),
        port: service.port,
        proof: Proof { host: own_name(fleet, service), ports: vec![service.port], answer },
    };
    (text(fleet, service, ports, slot, &answer.to_string()), front)
}

/// In which nginx answers for itself at the port. A fleet's name has 31 characters at most, so this has room in the
/// buckets in which nginx keeps names.
fn own_name(fleet: &Fleet, service: &Service) -> String {
    format!("evenkeel-{}-{}", fleet.name, service.port)
}

fn text(fleet: &Fleet, service: &Service, ports: PrivatePorts, slot: Slot, proof: &str) -> String {
    let (port, own_name) = (service.port, own_name(fleet, service));
    let variable = format!("evenkeel_{}_{port}", fleet.name);
    let [live, other] = [slot, slot.next()].map(|slot| ports.of(slot).unwrap_or(port));
    let passed = PASSED.iter().fold(String::new(), |mut text, header| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "        proxy_pass_header {header};");
        text
    });
    format!(
        "{}upstream {own_name} {{\n    \
             {}\n    \
             {} backup;\n\
         }}\n\
         map $http_upgrade ${variable} {{\n    default upgrade;\n    \"\" close;\n}}\n\
         server {{\n    \
             listen {port};\n    \
             listen [::]:{port};\n    \
             server_name {own_name};\n    \
             access_log off;\n    \
             location = /.evenkeel/site {{\n        \
                 default_type text/plain;\n        \
                 return 200 \"{proof}\\n\";\n    \
             }}\n    \
             location / {{ return 404; }}\n\
         }}\n\
         server {{\n    \
             listen {port} default_server;\n    \
             listen [::]:{port} default_server;\n    \
             server_name _;\n    \
             access_log off;\n    \
             client_max_body_size 0;\n    \
             client_body_timeout 24h;\n    \
             send_timeout 24h;\n    \
             keepalive_requests 100000;\n    \
             underscores_in_headers on;\n    \
             ignore_invalid_headers off;\n    \
             large_client_header_buffers 8 64k;\n    \
             merge_slashes off;\n    \
             gzip off;\n\
         \n    \
             location / {{\n        \
                 proxy_pass http://{own_name};\n        \
                 proxy_http_version 1.1;\n        \
                 proxy_set_header Host $http_host;\n        \
                 proxy_set_header Upgrade $http_upgrade;\n        \
                 proxy_set_header Connection ${variable};\n        \
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n        \
                 proxy_connect_timeout 5s;\n        \
                 proxy_read_timeout 24h;\n        \
                 proxy_send_timeout 24h;\n        \
                 proxy_request_buffering off;\n        \
                 proxy_buffering off;\n        \
                 proxy_buffer_size 64k;\n        \
                 proxy_buffers 8 64k;\n        \
                 proxy_redirect off;\n        \
                 proxy_next_upstream error;\n        \
                 proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;\n\
         {passed}    \
             }}\n\
         }}\n",
        made_from(&service.declared_in),
        loopback_server(live),
        loopback_server(other).trim_end_matches(';'),
    )
}
