//! Health checks decide whether a deployment goes on.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use crate::{
    fleet::Fleet,
    world::{World, assert_is},
};

pub fn an_http_check_holds_back_what_comes_after(world: &World) {
    let fleet = Fleet::new(world, "http");
    fleet.service("alpha", fleet.port(0), &["h1"], "env: {SLOW: '1'}");
    // Ends with an error, and is started again by systemd, when alpha is not healthy at its start.
    fleet.service("beta", fleet.port(1), &["h2"], "env: {NEEDS: '${service.alpha.url}'}\nafter: [alpha]");
    fleet.deploy().ends_with(0);
    let unit = fleet.unit("beta", fleet.port(1));
    assert_is("how often beta had to be started again", world.host("h2").unit(&unit, "NRestarts"), "0");
}

pub fn a_tcp_check_gates(world: &World) {
    let fleet = Fleet::new(world, "tcp");
    let check = "health: {tcp: true, interval: 100ms, retries: 1, start_period: 1s}";
    fleet.service("alpha", fleet.port(0), &["h1"], "health: {tcp: true}");
    fleet.deploy().ends_with(0);
    fleet.service("beta", fleet.port(1), &["h1"], &format!("run: {{exec: /bin/sleep infinity}}\n{check}"));
    fleet.deploy().ends_with(3);
    assert!(!world.host("h1").exists(&format!("/etc/systemd/system/{}", fleet.unit("beta", fleet.port(1)))));
}

pub fn what_listens_on_another_address_is_named(world: &World) {
    let (fleet, h1) = (Fleet::new(world, "address"), world.host("h1"));
    let (port, address) = (fleet.port(0), &h1.address);
    let program = "import os, http.server as http\nplace = (os.environ['INSTANCE_IP'], int(os.environ['SERVICE_PORT']))\n\
                   http.HTTPServer(place, http.SimpleHTTPRequestHandler).serve_forever()\n";
    fleet.write("program/elsewhere.py", program);
    let health = "health: {tcp: true, interval: 500ms, retries: 2, start_period: 4s}";
    fleet.service("alpha", port, &["h1"], &format!("run: {{exec: /usr/bin/python3 elsewhere.py}}\n{health}"));
    fleet.deploy().ends_with(3);
    let failure = fleet.newest("/failure").to_string();
    let told = format!("nothing listens on 127.0.0.1:{port}; {address}:{port} is listened on by python3 (pid ");
    assert!(failure.contains(&told), "{failure}");
}

/// An old unit leaves a child behind when it is stopped, and that goes on answering.
pub fn what_another_answers_makes_no_service_healthy(world: &World) {
    let (fleet, h1) = (Fleet::new(world, "zombie"), world.host("h1"));
    let (port, unit) = (fleet.port(0), "legacy-zombie.service");
    let run = format!("/bin/sh -c \"python3 -m http.server {port} & exec sleep 10000\"");
    h1.write(&format!("/etc/systemd/system/{unit}"), &format!("[Service]\nExecStart={run}\nKillMode=process\n"));
    let begins = format!("systemctl daemon-reload; systemctl start {unit}");
    let holders = format!("ss -Hltnp 'sport = :{port}' | grep -o 'pid=[0-9]*' | cut -d= -f2");
    let ends =
        format!("systemctl stop {unit}; kill $({holders}); rm /etc/systemd/system/{unit}; systemctl daemon-reload");
    let _left = h1.until_dropped(&begins, &ends);
    h1.asks(port, "/");
    let health = "health: {http: /, interval: 300ms, retries: 2, start_period: 3s}";
    fleet.service("alpha", port, &["h1"], &format!("replaces: [{unit}]\n{health}"));
    fleet.deploy().ends_with(3);
    let failure = fleet.newest("/failure").to_string();
    for words in ["port is answered by python3 (pid ", "activating (auto-restart)"] {
        assert!(failure.contains(words), "{words}: {failure}");
    }
}

pub fn an_exec_check_gates(world: &World) {
    let fleet = Fleet::new(world, "exec");
    let file = "/etc/labtest/check.env";
    world.host("h1").write(file, "PASSWORD=hush\n");
    let declare = |exec: &str| {
        // Text in which evenkeel finds no references, and which systemd must not expand either.
        let exec = exec.replace("${", "$${");
        let health = format!("health: {{exec: {exec:?}, interval: 100ms, retries: 1, start_period: 1s}}");
        fleet.service(
            "alpha",
            fleet.port(0),
            &["h1"],
            &format!("env: {{GREETING: a b$c}}\nenv_file: {file}\n{health}"),
        );
    };
    // As whom, where, and with what the service runs.
    fleet.write(
        "program/check.sh",
        "#!/bin/sh\nset -e\n[ \"$(id -un)\" = ubuntu ]\n[ -e server.py ]\n[ \"$GREETING\" = 'a b$c' ]\n[ \"$PASSWORD\" = hush ]\n[ \"$1\" = 'x $y' ]\n\
         [ \"$2\" = '$GREETING' ]\n[ \"$3\" = '${GREETING}' ]\n[ \"$4\" = '100% %n' ]\n[ $# = 4 ]\n",
    );
    let check = fleet.path().join("program/check.sh");
    fs::set_permissions(check, Permissions::from_mode(0o755)).expect("it is there");
    declare("./check.sh 'x $y' '$GREETING' '${GREETING}' '100% %n'");
    fleet.deploy().ends_with(0);

    fleet.write("program/check.sh", "#!/bin/sh\necho the check says no; exit 1\n");
    fleet.deploy().ends_with(3);
    let failure = fleet.newest("/failure/message").to_string();
    assert!(failure.contains("the check says no"), "the record does not say what the check said: {failure}");
}
