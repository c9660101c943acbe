//! Proof of a health check: systemd calls the unit active, its process stays up, and a process of its control group has
//! the port.
//!
//! Keeps true: a service is unhealthy while another unit's process answers on its port; whoever has the port is named.
//! Never does: asking the service, which is `health`'s part; deciding how long its process has to run.
//! Source: ss(8); proc(5); control groups name the unit of a process.

use std::{collections::HashMap, time::Duration};

use super::{Checkup, Health, HealthCheck, health, parse, quote::assign, scripts::script};
use crate::model::{
    fleet::Check,
    observation::{Listener, Stranger},
    paths,
    run::Run,
    text,
};

/// What came of asking the service itself.
pub(super) enum Asked {
    Answer(Health),
    /// Nothing listens on the loopback address.
    Deaf,
}

/// A replica, as the host is asked about its unit and the holder of its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replica {
    unit: String,
    port: u16,
    /// Whether who has the port matters although the unit runs: what is checked by a command may have no port.
    has_port: bool,
}

impl Replica {
    pub fn of(check: &HealthCheck) -> Self {
        let has_port = !matches!(check.check, Check::Exec(_));
        Self { unit: check.unit.clone(), port: check.port, has_port }
    }
}

/// Asks of each its state, since when its process runs, who listens on its port, and of each of those the control group; of
/// those of another group the command line and age, too.
pub(super) fn script(replicas: &[Replica]) -> String {
    let listed = |one: &dyn Fn(&Replica) -> String| replicas.iter().map(one).collect::<Vec<_>>().join(" ");
    let units = listed(&|replica| replica.unit.clone());
    let asked =
        listed(&|Replica { unit, port, has_port }| format!("{unit} {port} {}", if *has_port { "yes" } else { "no" }));
    assign("units", &units) + &assign("replicas", &asked) + &script!("proof.sh")
}

/// What that says of a service, beside what came of asking it.
pub(super) fn judge(check: &HealthCheck, asked: Asked, said: &str) -> Checkup {
    let (unit, port) = (&check.unit, check.port);
    let holder = check.held_by.as_ref().unwrap_or(unit);
    let asked = match asked {
        Asked::Answer(health) => health,
        Asked::Deaf => health::deaf(port, Some(said)),
    };
    // What is not known takes nothing away from what failed.
    let unless_failed = |why: String| match &asked {
        Health::Healthy => Health::Unknown(text::of_host(&why)),
        failed => failed.clone(),
    };
    let unhealthy = |why: String| Health::Unhealthy(text::of_host(&why));
    let Some(run) = run(unit, said) else {
        return Checkup { health: unless_failed(format!("systemd does not tell the state of {unit}")), run: None };
    };
    let holders = holders(port, said);
    let by =
        || holders.iter().map(|holder| holder.told(strangers(said).get(&holder.pid))).collect::<Vec<_>>().join(", ");
    let is_own = |listener: &Listener| listener.unit.as_ref() == Some(holder);
    let health = if !run.is_active() {
        let by = if holders.is_empty() { String::new() } else { format!("; its port {port} is held by {}", by()) };
        unhealthy(format!("{unit} is {}{by}", run.told()))
    } else if matches!(check.check, Check::Exec(_)) {
        asked
    } else if let Some(why) = said.lines().find_map(|line| line.strip_prefix('?')) {
        unless_failed(format!("who listens on port {port} cannot be told: {why}"))
    } else if !holders.is_empty() && !holders.iter().any(is_own) {
        unhealthy(format!("not {holder} answers on port {port}, but {}", by()))
    } else if holders.is_empty() && asked == Health::Healthy {
        Health::Unhealthy(format!("nothing listens on 127.0.0.1:{port} any more"))
    } else {
        asked
    };
    let health = match (health, paths::public_port(unit)) {
        (Health::Unhealthy(why), Some(public)) if holders.is_empty() && check.held_by.is_none() => {
            let port = format!("it has to bind port {port} (`${{port}}`, SERVICE_PORT), for nginx has {public}");
            Health::Unhealthy(format!("{why}; {port}"))
        }
        (health, _) => health,
    };
    Checkup { health, run: Some(run) }
}

/// None where systemd did not answer.
fn run(unit: &str, said: &str) -> Option<Run> {
    let block = || said.lines().skip_while(|line| line.strip_prefix("unit ") != Some(unit)).skip(1);
    let block = || block().take_while(|line| !line.starts_with("unit ") && !line.starts_with("uptime "));
    let fields: HashMap<&str, &str> = block().filter_map(|line| line.split_once('=')).collect();
    let field = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
    let (active, sub) = (field("ActiveState"), field("SubState"));
    let main = block().find_map(|line| line.strip_prefix("main "));
    let tries = parse::tries(&fields, main.and_then(|stat| age(stat, said)));
    (!active.is_empty()).then_some(Run { active, sub, tries })
}

fn age(stat: &str, said: &str) -> Option<Duration> {
    parse::strangers::age(stat, line(said, "uptime ")?)
}

fn line<'s>(said: &'s str, begins: &str) -> Option<&'s str> {
    said.lines().find_map(|line| line.strip_prefix(begins))
}

/// What is told of processes of other units, by process.
fn strangers(said: &str) -> HashMap<u32, Stranger> {
    let uptime = line(said, "uptime ").unwrap_or_default();
    let lines = said.lines().filter_map(|line| line.strip_prefix("stranger "));
    lines.filter_map(|line| parse::strangers::stranger(line, uptime)).collect()
}

/// The listeners at 127.0.0.1, or, where there are none, those at all addresses: the kernel prefers the exact one.
fn holders(port: u16, said: &str) -> Vec<Listener> {
    let units = parse::units_by_process(said);
    let rank = |line: &str| {
        let address = line.split_whitespace().nth(3)?.strip_suffix(&format!(":{port}"))?;
        match address.split('%').next()? {
            "127.0.0.1" | "[::ffff:127.0.0.1]" => Some(2),
            "0.0.0.0" | "*" | "[::]" => Some(1),
            _ => None,
        }
    };
    let ranked: Vec<(u8, &str)> = said.lines().filter_map(|line| Some((rank(line)?, line))).collect();
    let best = ranked.iter().map(|(rank, _)| *rank).max();
    ranked
        .iter()
        .filter(|(rank, _)| Some(*rank) == best)
        .flat_map(|(_, line)| processes(line))
        .map(|(process, pid)| Listener { port, pid, process, unit: units.get(&pid).cloned() })
        .collect()
}

/// Of `users:(("name",pid=N,fd=N),("name",pid=N,fd=N))`.
fn processes(line: &str) -> Vec<(String, u32)> {
    let of = |user: &str| {
        let (name, rest) = user.split_once("\",pid=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    line.split("(\"").skip(1).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(check: Check) -> HealthCheck {
        HealthCheck {
            check,
            body: None,
            port: 8100,
            timeout: Duration::from_secs(1),
            user: "nobody".to_owned(),
            directory: "/srv".to_owned(),
            env_files: Vec::new(),
            unit: "odd-hello@8100.service".to_owned(),
            confined_by: Default::default(),
            held_by: None,
        }
    }

    const ACTIVE: &str = "unit odd-hello@8100.service\nActiveState=active\nSubState=running\nNRestarts=0\n";
    const OURS: &str =
        "7 /system.slice/system-odd\\x2dhello.slice/odd-hello@8100.service\n9 /system.slice/legacy.service\n";

    fn listener(address: &str, name: &str, pid: u32) -> String {
        format!("LISTEN 0 5 {address}:8100 0.0.0.0:* users:((\"{name}\",pid={pid},fd=3))\n")
    }

    fn judged(kind: Check, asked: Asked, said: &str) -> Health {
        judge(&check(kind), asked, said).health
    }

    fn healthy() -> Asked {
        Asked::Answer(Health::Healthy)
    }

    /// Of a service whose port takes a connection.
    fn said(state: &str, listeners: &[String]) -> Health {
        judged(Check::Tcp, healthy(), &format!("{state}{}{OURS}", listeners.concat()))
    }

    #[test]
    fn a_unit_whose_process_has_the_port_is_healthy() {
        for address in ["127.0.0.1", "0.0.0.0", "*", "[::]", "[::ffff:127.0.0.1]", "0.0.0.0%lo"] {
            assert_eq!(said(ACTIVE, &[listener(address, "python3", 7)]), Health::Healthy, "{address}");
        }
        assert_eq!(judged(Check::Exec(Vec::new()), healthy(), ACTIVE), Health::Healthy);
    }

    #[test]
    fn one_of_two_copies_that_binds_nothing_is_told_which_port_is_its_own() {
        let unit = "odd-hello@8100-green.service";
        let copy = HealthCheck { unit: unit.to_owned(), port: 8191, ..check(Check::Tcp) };
        let said = ACTIVE.replace("odd-hello@8100.service", unit);
        let Health::Unhealthy(why) = judge(&copy, Asked::Deaf, &said).health else { panic!("healthy") };
        assert!(why.ends_with("it has to bind port 8191 (`${port}`, SERVICE_PORT), for nginx has 8100"), "{why}");
        let held = format!("{said}{}{OURS}", listener("0.0.0.0", "python3", 9).replace(":8100", ":8191"));
        let Health::Unhealthy(why) = judge(&copy, healthy(), &held).health else { panic!("healthy") };
        assert!(!why.contains("has to bind"), "{why}");
    }

    #[test]
    fn where_another_unit_leads_to_it_that_one_has_the_port() {
        let led = |by: &str| HealthCheck { held_by: Some(by.to_owned()), ..check(Check::Tcp) };
        let said = format!("{ACTIVE}{}{OURS}", listener("0.0.0.0", "nginx", 9));
        assert_eq!(judge(&led("legacy.service"), healthy(), &said).health, Health::Healthy);
        let Health::Unhealthy(why) = judge(&led("nginx.service"), healthy(), &said).health else { panic!("healthy") };
        assert!(why.starts_with("not nginx.service answers on port 8100"), "{why}");
    }

    #[test]
    fn a_port_that_somebody_else_answers_makes_nobody_healthy() {
        let Health::Unhealthy(why) = said(ACTIVE, &[listener("0.0.0.0", "python3", 9)]) else { panic!("healthy") };
        assert_eq!(why, "not odd-hello@8100.service answers on port 8100, but python3 (pid 9, of legacy.service)");
        // Ours has all other addresses.
        let both = [listener("0.0.0.0", "python3", 7), listener("127.0.0.1", "old", 9)];
        assert!(matches!(said(ACTIVE, &both), Health::Unhealthy(_)));
        assert!(matches!(said(ACTIVE, &[listener("10.0.0.1", "python3", 7)]), Health::Unhealthy(_)));
        assert!(matches!(said(ACTIVE, &[]), Health::Unhealthy(_)));
    }

    /// A process that began 700 seconds ago, after the name in its `stat`.
    fn began() -> String {
        (0..25)
            .map(|field| if field == 19 { "50000".to_owned() } else { field.to_string() })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_unit_that_is_started_again_and_again_is_not_healthy_and_it_is_said_who_has_its_port() {
        let restarting = "unit odd-hello@8100.service\nActiveState=activating\nSubState=auto-restart\nNRestarts=4\nResult=exit-code\nExecMainStatus=1\n";
        let stranger = format!("uptime 1200.00\nstranger 9\t{}\tpython3 app.py --token hunter2 \t\n", began());
        let Health::Unhealthy(why) = said(&format!("{restarting}{stranger}"), &[listener("0.0.0.0", "python3", 9)])
        else {
            panic!("healthy")
        };
        assert_eq!(
            why,
            "odd-hello@8100.service is activating (auto-restart): its last run ended with status 1; systemd has started it \
             again 4 times; its port 8100 is held by python3 (pid 9, of legacy.service, for 11 min): `python3 app.py --token …`"
        );
        assert!(matches!(judged(Check::Exec(Vec::new()), healthy(), restarting), Health::Unhealthy(_)));
        let refused = Asked::Answer(Health::Unhealthy("GET / answered 500".to_owned()));
        let Health::Unhealthy(why) = judged(Check::Tcp, refused, restarting) else { panic!("healthy") };
        assert!(why.contains("auto-restart"), "{why}");
    }

    #[test]
    fn since_when_the_main_process_runs_is_read_from_the_kernel() {
        let said = format!("{ACTIVE}main {}\nuptime 1200.50\n", began());
        let run = judge(&check(Check::Tcp), healthy(), &said).run.expect("its state is told");
        assert_eq!(run.tries.runs_for, Some(Duration::from_millis(700_500)));
        let run = judge(&check(Check::Tcp), healthy(), ACTIVE).run.expect("its state is told");
        assert_eq!(run.tries.runs_for, None);
    }

    #[test]
    fn of_an_answer_about_many_each_is_told_its_own() {
        let other = "unit odd-other@8200.service\nActiveState=failed\nSubState=failed\nNRestarts=7\nmain 1 2\n";
        let listeners = listener("0.0.0.0", "python3", 7);
        for said in [
            format!("{other}{ACTIVE}uptime 9.0\n{listeners}{OURS}"),
            format!("{ACTIVE}{other}uptime 9.0\n{listeners}{OURS}"),
        ] {
            let checkup = judge(&check(Check::Tcp), healthy(), &said);
            assert_eq!(checkup.health, Health::Healthy);
            assert_eq!(checkup.run.map(|run| run.tries.restarts), Some(0));
        }
        assert!(matches!(judged(Check::Tcp, healthy(), other), Health::Unknown(_)));
    }

    #[test]
    fn what_failed_stays_what_it_is_where_nothing_more_is_known() {
        let failed = || Asked::Answer(Health::Unhealthy("GET / answered 500".to_owned()));
        for said in
            ["", &format!("{ACTIVE}?ss: not found\n"), &format!("{ACTIVE}{}{OURS}", listener("*", "python3", 7))]
        {
            assert_eq!(judged(Check::Tcp, failed(), said), Health::Unhealthy("GET / answered 500".to_owned()));
        }
        let elsewhere = format!("{ACTIVE}{}", listener("10.0.0.1", "python3", 7));
        let Health::Unhealthy(why) = judged(Check::Tcp, Asked::Deaf, &elsewhere) else { panic!("healthy") };
        assert!(why.starts_with("nothing listens on 127.0.0.1:8100; 10.0.0.1:8100 is listened on by python3"), "{why}");
    }

    #[test]
    fn what_is_not_told_is_not_known() {
        assert!(matches!(said("", &[]), Health::Unknown(_)));
        assert!(matches!(said(ACTIVE, &["?ss: not found\n".to_owned()]), Health::Unknown(_)));
    }
}
