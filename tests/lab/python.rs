//! Services that run in a virtual environment, made on the host from an index that the host itself serves.

use crate::{
    controls::IMPATIENT,
    fleet::Fleet,
    world::{AtLast, Host, World, assert_is, wait_for},
};

const INDEX: &str = include_str!("index.py");

/// Serves packages to the host until it is dropped.
fn index<'a>(fleet: &Fleet<'_>, host: &'a Host) -> AtLast<'a> {
    host.write("/opt/lab/index.py", INDEX);
    let port = fleet.port(19);
    let serving = host.until_dropped(
        &format!("systemd-run --quiet --collect --unit=labindex.service python3 /opt/lab/index.py {port}"),
        "systemctl stop labindex.service",
    );
    wait_for("the index", || {
        host.succeeds(&format!("curl -sf -o /dev/null http://127.0.0.1:{port}/simple/greeting/")).then_some(())
    });
    serving
}

/// Declares the service `alpha` on h1, which is the program that the package brings.
fn greeting(fleet: &Fleet<'_>, requirements: &str) {
    fleet.write("greeting/requirements.txt", requirements);
    fleet.service("alpha", fleet.port(0), &["h1"], &of_greeting(fleet, "greet", ""));
}

fn of_greeting(fleet: &Fleet<'_>, exec: &str, more: &str) -> String {
    let index = format!("http://127.0.0.1:{}/simple/", fleet.port(19));
    format!(
        "source: {{path: greeting}}\nrun: {{exec: {exec}, python: {{requirements: requirements.txt, index: \"{index}\"{more}}}}}\n"
    )
}

/// The virtual environments of a fleet on a host, and what else lies beside them.
fn venvs(fleet: &Fleet<'_>, host: &Host) -> Vec<String> {
    let listed = host.run(&format!("ls -A /var/lib/evenkeel/{}/venvs 2>/dev/null || true", fleet.name));
    listed.split_whitespace().map(|name| format!("/var/lib/evenkeel/{}/venvs/{name}", fleet.name)).collect()
}

pub fn a_service_runs_in_a_virtual_environment_that_others_share(world: &World) {
    let fleet = Fleet::new(world, "venv");
    let h1 = world.host("h1");
    let _index = index(&fleet, h1);
    greeting(&fleet, "-r more/versions.txt\n");
    fleet.write("greeting/more/versions.txt", "greeting==1.0 # the first\n");
    fleet.write("greeting/server.py", "import greeting\ngreeting.serve()\n");
    fleet.service(
        "beta",
        fleet.port(1),
        &["h1"],
        &(of_greeting(&fleet, "python server.py", "") + "health: {exec: python -c \"import greeting\", settle: 0s}\n"),
    );
    fleet.deploy().ends_with(0);
    let [venv] = &venvs(&fleet, h1)[..] else { panic!("not one: {:?}", venvs(&fleet, h1)) };
    for port in [fleet.port(0), fleet.port(1)] {
        assert_is("who answers", h1.asks(port, "/"), format!("greeting 1.0 of {venv}"));
    }
    assert_is("what could be written there", h1.run(&format!("find {venv} ! -user root -o -perm /022 ! -type l")), "");
    let path = h1.of_process(&fleet.unit("alpha", fleet.port(0)), "environ");
    assert!(path.iter().any(|line| line.starts_with(format!("PATH={venv}/bin:").as_bytes())), "PATH is another");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn a_service_reads_the_compiled_files_that_are_there_and_writes_none_into_its_release(world: &World) {
    let fleet = Fleet::new(world, "compiled");
    let h1 = world.host("h1");
    let _index = index(&fleet, h1);
    fleet.write("greeting/requirements.txt", "greeting==1.0\n");
    fleet.write("greeting/helper.py", "");
    fleet.write("greeting/main.py", "import greeting, helper\ngreeting.serve()\n");
    // With -v Python says of each file whether it was compiled before, and what it has written.
    let in_venv = of_greeting(&fleet, "python -v main.py", "");
    fleet.service("alpha", fleet.port(0), &["h1"], &in_venv);
    fleet.write("program/helper.py", "");
    fleet.write("program/main.py", "import helper, server\n");
    let by_root = "run: {exec: /usr/bin/python3 -v main.py, user: root}";
    fleet.service("root", fleet.port(2), &["h1"], by_root);
    fleet.deploy().ends_with(0);

    let said = |service, number| {
        let unit = fleet.unit(service, fleet.port(number));
        let invocation = h1.unit(&unit, "InvocationID");
        h1.run(&format!("journalctl --sync; journalctl --no-pager -o cat _SYSTEMD_INVOCATION_ID={invocation}"))
    };
    let read_of = |said: &str, module: &str| {
        said.lines().any(|line| line.contains(&format!("/__pycache__/{module}.cpython-")) && line.contains(" matches "))
    };
    let created = |said: &str| said.lines().filter(|line| line.starts_with("# created ")).count();
    for (service, number, modules) in [("alpha", 0, &["socketserver", "greeting"][..]), ("root", 2, &["socketserver"])]
    {
        let said = said(service, number);
        for module in modules {
            assert!(read_of(&said, module), "{service}: no compiled file of {module} is read");
        }
        assert_is(&format!("how many files {service} compiled and kept"), created(&said), 0);
    }
    let compiled = "find /var/lib/evenkeel/compiled/releases -name __pycache__ -o -name '*.pyc'";
    assert_is("what is compiled in releases", h1.run(compiled), String::new());
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());

    // Where a service asks for it, what it compiles is in its cache folder.
    let cache = "/var/cache/compiled/cached";
    let cached = format!("{in_venv}env: {{PYTHONPYCACHEPREFIX: {cache}}}\n");
    fleet.service("cached", fleet.port(1), &["h1"], &cached);
    fleet.deploy().ends_with(0);
    assert!(created(&said("cached", 1)) > 1, "nothing is kept");
    let kept = h1.run(&format!("find {cache} -name 'helper.cpython-*.pyc' | wc -l"));
    assert_is("how many compiled files of the module there are", kept.as_str(), "1");
}

pub fn a_program_that_the_requirements_do_not_bring_is_found_before_anything_stops(world: &World) {
    let fleet = Fleet::new(world, "ends_venv");
    let h1 = world.host("h1");
    let _index = index(&fleet, h1);
    greeting(&fleet, "greeting==1.0\n");
    fleet.deploy().ends_with(0);
    let running = fleet.invocations();
    // In one that is made for it, and then in that one, which stays.
    fleet.write("greeting/requirements.txt", "greeting==2.0\n");
    fleet.service("alpha", fleet.port(0), &["h1"], &of_greeting(&fleet, "greeet", ""));
    fleet.deploy().ends_with(3);
    let failure = fleet.newest("/failure").to_string();
    assert!(failure.contains("no program greeet") && failure.contains("/build/"), "{failure}");
    assert_is("what runs", fleet.invocations(), running.clone());
    fleet.write("greeting/note", "another commit");
    let refused = fleet.deploy().ends_with(4).said;
    assert!(refused.contains("greeet") && refused.contains("no-program"), "{refused}");
    assert_is("what runs", fleet.invocations(), running);
}

pub fn going_back_needs_no_index(world: &World) {
    let fleet = Fleet::new(world, "goesback");
    let h1 = world.host("h1");
    let serving = index(&fleet, h1);
    greeting(&fleet, "greeting==1.0\n");
    fleet.deploy().ends_with(0);
    greeting(&fleet, "greeting==2.0\n");
    fleet.deploy().ends_with(0);
    assert!(h1.asks(fleet.port(0), "/").starts_with("greeting 2.0 "), "the new version does not run");
    drop(serving);
    greeting(&fleet, "greeting==1.0\n");
    let plan = fleet.plan().changes();
    assert!(!plan.iter().any(|step| step.contains(" build ")), "something is built: {plan:?}");
    fleet.deploy().ends_with(0);
    assert!(h1.asks(fleet.port(0), "/").starts_with("greeting 1.0 "), "the old version does not run");
}

pub fn what_pip_cannot_install_changes_nothing_that_runs(world: &World) {
    let fleet = Fleet::new(world, "pip");
    let h1 = world.host("h1");
    let index = index(&fleet, h1);
    h1.write("/opt/lab/index.py", INDEX);
    let digest = h1.run("python3 /opt/lab/index.py digest 1.0");
    greeting(&fleet, &format!("greeting==1.0 \\\n    --hash=sha256:{digest}\n"));
    fleet.deploy().ends_with(0);
    let unit = fleet.unit("alpha", fleet.port(0));
    let stands =
        || (venvs(&fleet, h1), h1.unit(&unit, "InvocationID"), h1.run(&format!("cat /etc/systemd/system/{unit}")));
    let before = stands();
    for (requirements, said) in [
        ("greeting==3.0\n".to_owned(), "No matching distribution found for greeting==3.0"),
        (format!("greeting==2.0 --hash=sha256:{digest}\n"), "THESE PACKAGES DO NOT MATCH THE HASHES"),
    ] {
        greeting(&fleet, &requirements);
        let ran = fleet.deploy().ends_with(3);
        let told = format!("{}{}", ran.said, ran.errors);
        for part in ["h1", "service/alpha", "requirements.txt", said] {
            assert!(told.contains(part), "`{part}` is not said:\n{told}");
        }
        assert_is("what stands", stands(), before.clone());
        assert_is("whose failure it is", fleet.newest("/failure/cause"), "step");
    }
    // pip says of an index that does not answer what it says of one without the package.
    drop(index);
    greeting(&fleet, "greeting==2.0\n");
    fleet.deploy().ends_with(3);
    assert_is("whose failure it is", fleet.newest("/failure/cause"), "host");
}

pub fn a_virtual_environment_that_was_damaged_is_made_anew(world: &World) {
    let fleet = Fleet::new(world, "venvs");
    let h1 = world.host("h1");
    let _index = index(&fleet, h1);
    greeting(&fleet, "greeting==1.0\n");
    fleet.deploy().ends_with(0);
    let venv = venvs(&fleet, h1).remove(0);
    let answers = || h1.asks(fleet.port(0), "/").starts_with("greeting 1.0 ");
    for (damage, why) in [
        ("sed -i '$a # mine' $venv/lib/python3*/site-packages/greeting.py", "drift: it was changed on the instance"),
        ("rm -r $venv", "drift: it was removed on the instance"),
        ("sed -i s/cpython-/cpython-9/ $venv/made", "the interpreter is cpython-"),
    ] {
        h1.run(&format!("venv={venv}; {damage}"));
        let ran = fleet.apply().ends_with(0);
        assert!(
            ran.said.contains(why) && ran.said.contains("its virtual environment is made anew"),
            "{damage}:\n{}",
            ran.said
        );
        assert!(answers(), "{damage}");
        assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
    }
    // What the service compiles, or a person who looks around in it, is no damage.
    h1.run(&format!("{venv}/bin/python -c 'import greeting'"));
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());

    let _loop = fleet.reconcile();
    fleet.is_live(&fleet.commit());
    h1.run(&format!("rm -r {venv}/lib"));
    wait_for("a whole virtual environment", || h1.exists(&format!("{venv}/lib")).then_some(()));
    wait_for("the service", || answers().then_some(()));
}

pub fn what_ran_from_one_that_was_replaced_is_started_again_after_all(world: &World) {
    let fleet = Fleet::new(world, "anew");
    let h1 = world.host("h1");
    let _index = index(&fleet, h1);
    greeting(&fleet, "greeting==1.0\n");
    fleet.deploy().ends_with(0);
    let venv = venvs(&fleet, h1).remove(0);
    let unit = fleet.unit("alpha", fleet.port(0));
    for (damage, environment) in [("rm -r $venv/lib", ""), ("rm -r $venv", "rollback_on_failure: false")] {
        let ran = h1.unit(&unit, "InvocationID");
        h1.run(&format!("venv={venv}; {damage}"));
        fleet.environment(environment);
        fleet.service("beta", fleet.port(1), &["h1"], &format!("env: {{SICK: 'yes'}}\n{IMPATIENT}"));
        fleet.service("alpha", fleet.port(0), &["h1"], &(of_greeting(&fleet, "greet", "") + "after: [beta]\n"));
        let failed = fleet.deploy();
        assert!(failed.said.contains("its virtual environment is made anew"), "{damage}:\n{}", failed.said);
        assert_is("what runs", h1.unit(&unit, "InvocationID"), ran);
        assert!(h1.exists(&format!("{venv}/lib")), "{damage}: the new one is there");

        greeting(&fleet, "greeting==1.0\n");
        fleet.remove("services/beta.yaml");
        fleet.commit();
        let plan = fleet.plan().json.to_string();
        assert!(plan.contains("it was not started again when a deployment failed"), "{damage}:\n{plan}");
        if !environment.is_empty() {
            fleet.run("resume", &[]).ends_with(0);
        }
        fleet.apply().ends_with(0);
        assert!(h1.asks(fleet.port(0), "/").starts_with("greeting 1.0 "), "{damage}");
        assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
    }
}

pub fn a_private_index_is_asked_with_what_lies_on_the_host(world: &World) {
    let fleet = Fleet::new(world, "private");
    let h1 = world.host("h1");
    let _index = index(&fleet, h1);
    // Root never starts an interpreter of somebody else's.
    h1.write("/opt/lab/python", "#!/bin/sh\n[ \"$(id -u)\" != 0 ] && exec /usr/bin/python3 \"$@\"\n");
    h1.run("chmod 0755 /opt/lab/python");
    fleet.write("greeting/requirements.txt", "greeting\n");
    let private = |more: &str| {
        let declared = of_greeting(&fleet, "greet", &format!(", interpreter: /opt/lab/python{more}"));
        fleet.service("alpha", fleet.port(0), &["h1"], &declared.replace("/simple/", "/private/"));
    };
    private("");
    let ran = fleet.deploy().ends_with(3);
    assert!(ran.errors.contains("service/alpha"), "{}", ran.errors);
    private(", netrc: /etc/lab-netrc");
    let ran = fleet.deploy().ends_with(3);
    assert!(format!("{}{}", ran.said, ran.errors).contains("/etc/lab-netrc"), "{}", ran.errors);
    h1.run("umask 077; echo 'machine 127.0.0.1 login reader password open-sesame' >/etc/lab-netrc");
    fleet.write("greeting/requirements.txt", "greeting>=1\n");
    let ran = fleet.deploy().ends_with(0);
    assert!(h1.asks(fleet.port(0), "/").starts_with("greeting 2.0 "), "the newest does not run");
    assert!(!format!("{}{}", ran.said, ran.errors).contains("sesame"), "it is said:\n{}{}", ran.said, ran.errors);
    assert!(!fleet.git(&["log", "--all", "-p"]).contains("sesame"), "it is in the history");
    assert!(
        !h1.succeeds("grep -rqs open-sesame /var/lib/evenkeel/private /etc/systemd /etc/evenkeel /run/systemd/transient /var/log /run/log"),
        "it lies on the host a second time"
    );
}

pub fn what_neither_the_manifest_nor_a_kept_deployment_names_goes(world: &World) {
    let fleet = Fleet::new(world, "leftover");
    let h1 = world.host("h1");
    let _index = index(&fleet, h1);
    greeting(&fleet, "greeting==1.0\n");
    fleet.deploy().ends_with(0);
    let first = venvs(&fleet, h1);
    greeting(&fleet, "greeting==2.0\n");
    fleet.deploy().ends_with(0);
    assert_is("how many there are", venvs(&fleet, h1).len(), 2);
    // As when ten others have come since, and one was cut off while it was made.
    h1.run("rm -r /var/lib/evenkeel/leftover/deployments/*; mkdir /var/lib/evenkeel/leftover/venvs/.new");
    fleet.service("alpha", fleet.port(0), &["h1"], &format!("{}env: {{A: b}}", of_greeting(&fleet, "greet", "")));
    fleet.deploy().ends_with(0);
    let [second] = &venvs(&fleet, h1)[..] else { panic!("not one: {:?}", venvs(&fleet, h1)) };
    assert!(*second != first[0], "the first is there still");
    fleet.remove("services/alpha.yaml");
    fleet.deploy().ends_with(0);
    assert_is("what is kept to go back to", venvs(&fleet, h1), std::slice::from_ref(second));
}

pub fn one_that_is_cut_off_while_it_is_made_is_nowhere(world: &World) {
    let fleet = Fleet::new(world, "halved");
    let h1 = world.host("h1");
    let _index = index(&fleet, h1);
    h1.write("/opt/lab/slow", "#!/bin/sh\ncase $* in *venv*) sleep 300 ;; esac\nexec /usr/bin/python3 \"$@\"\n");
    h1.run("chmod 0755 /opt/lab/slow");
    fleet.write("greeting/requirements.txt", "greeting==1.0\n");
    let declared = of_greeting(&fleet, "greet", ", interpreter: /opt/lab/slow");
    fleet.service("alpha", fleet.port(0), &["h1"], &declared);
    fleet.commit();
    let apply = fleet.begin("apply", &["--yes"]);
    let sandbox = "evenkeel-halved-venv.service";
    wait_for("its making", || (h1.unit(sandbox, "ActiveState") == "active").then_some(()));
    h1.run("systemctl kill --signal=KILL evenkeel-halved.service");
    apply.ends_with(3);
    wait_for("the end of what made it", || (h1.unit(sandbox, "ActiveState") == "inactive").then_some(()));
    assert!(venvs(&fleet, h1).iter().all(|path| path.ends_with("/.new")), "{:?}", venvs(&fleet, h1));
    assert!(!h1.exists(&format!("/etc/systemd/system/{}", fleet.unit("alpha", fleet.port(0)))), "something changed");

    h1.run("sed -i /sleep/d /opt/lab/slow");
    fleet.apply().ends_with(0);
    assert!(h1.asks(fleet.port(0), "/").starts_with("greeting 1.0 "), "it does not run");
    assert!(venvs(&fleet, h1).iter().all(|path| !path.ends_with("/.new")), "{:?}", venvs(&fleet, h1));
}
