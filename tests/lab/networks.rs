//! Hosts in several networks: each is dialled in its own, by one process.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use crate::{
    faults::override_file_changed,
    fleet::Fleet,
    world::{Host, World, assert_is},
};

/// Carries what comes to a loopback port of this machine to the sshd of a host, as if the host were here.
fn outside(world: &World, host: &Host) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (lab, sshd) = (world.lab.clone(), format!("{}:22", host.address));
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let (lab, sshd) = (lab.clone(), sshd.clone());
            thread::spawn(move || {
                lab.enter().expect("the lab is up");
                carry(near, TcpStream::connect(sshd)?)
            });
        }
    });
    address
}

fn carry(near: TcpStream, far: TcpStream) -> io::Result<()> {
    let (mut from_near, mut to_near, mut from_far, mut to_far) = (near.try_clone()?, near, far.try_clone()?, far);
    let up = thread::spawn(move || {
        let _ = io::copy(&mut from_near, &mut to_far);
        to_far.shutdown(std::net::Shutdown::Both)
    });
    let _ = io::copy(&mut from_far, &mut to_near);
    let _ = to_near.shutdown(std::net::Shutdown::Both);
    up.join().unwrap_or(Ok(()))
}

pub fn one_process_looks_after_hosts_in_a_network_namespace_and_outside_of_it(world: &World) {
    let mut fleet = Fleet::new(world, "networks");
    let [inside, beside] = ["h1", "h2"].map(|name| world.host(name));
    let way = outside(world, beside);
    override_file_changed(&mut fleet, |overrides| {
        let overrides = overrides.as_object_mut().expect("it is a mapping");
        let lab = overrides.remove("network_namespace").expect("a lab names its own");
        for (name, instance) in overrides["instances"].as_object_mut().expect("it is a mapping") {
            if *name == beside.name {
                instance["address"] = way.ip().to_string().into();
                instance["ssh"]["port"] = way.port().into();
            } else {
                instance["network_namespace"] = lab.clone();
            }
        }
    });
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "env: {GREETING: hello}");
    fleet.deploy().ends_with(0);
    let answers = |greeting: &str| {
        for host in [inside, beside] {
            assert_is("the answer", host.asks(fleet.port(0), "/"), format!("alpha {} / {greeting}", host.name));
        }
    };
    answers("hello");

    let daemon = fleet.reconcile();
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "env: {GREETING: again}");
    fleet.is_live(&fleet.commit());
    answers("again");
    drop(daemon);

    // A network that is not there concerns its own hosts alone.
    override_file_changed(&mut fleet, |overrides| {
        overrides["instances"]["h1"]["network_namespace"] = "ek-nowhere".into();
    });
    let plan = fleet.plan();
    assert_is("plan's exit code", plan.code, 5);
    let (state, why) = plan.instance("h1");
    assert_is("what is known of h1", state.as_str(), "unknown");
    assert!(why.contains("network namespace ek-nowhere"), "{why}");
    assert_is("what is known of h2", plan.instance("h2").0.as_str(), "as-declared");
}
