//! Proof of a passed health check: systemd calls the unit active, and a process of its control group has the port.
//!
//! Keeps true: a service is unhealthy while another unit's process answers on its port. Never does: asking the service,
//! which is `health`'s part.
//! Source: ss(8); control groups name the unit of a process.

use super::{Health, HealthCheck, parse, quote::word};
use crate::model::{fleet::Check, text};

/// Its state, who listens on its port, and of each of those the control group.
pub(super) fn script(check: &HealthCheck) -> String {
    let state = format!("systemctl show -p ActiveState,SubState,NRestarts -- {} 2>&1 || exit 1\n", word(&check.unit));
    match check.check {
        // It may have no port.
        Check::Exec(_) => state,
        Check::Http(_) | Check::Tcp => format!(
            "{state}listeners=$(ss -Hltnp 'sport = :{port}' 2>&1) || {{ echo \"?$listeners\"; exit 0; }}\n\
             printf '%s\\n' \"$listeners\"\n\
             rest=$listeners\n\
             while :; do\n  \
               case $rest in *pid=*) rest=${{rest#*pid=}} pid=${{rest%%[!0-9]*}} ;; *) break ;; esac\n  \
               while IFS= read -r line; do\n    \
                 case $line in 0::/?* | *:name=systemd:/?*) printf '%s %s\\n' \"$pid\" \"${{line#*:*:}}\" ;; esac\n  \
               done <\"/proc/$pid/cgroup\"\n\
             done 2>/dev/null\nexit 0\n",
            port = check.port,
        ),
    }
}

/// What that says of a service that answered its check.
pub(super) fn verdict(check: &HealthCheck, said: &str) -> Health {
    let field = |name: &str| {
        said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned()
    };
    let (state, sub, restarts) = (field("ActiveState"), field("SubState"), field("NRestarts"));
    let unit = &check.unit;
    if state.is_empty() {
        return Health::Unknown(format!("systemd does not tell the state of {unit}"));
    }
    if let Some(why) = said.lines().find_map(|line| line.strip_prefix('?')) {
        return Health::Unknown(text::of_host(&format!("who listens on port {} cannot be told: {why}", check.port)));
    }
    let is_checked_by_port = !matches!(check.check, Check::Exec(_));
    let holders = holders(check.port, said);
    let by = holders.iter().map(Holder::to_string).collect::<Vec<_>>().join(", ");
    if state != "active" {
        let by = if by.is_empty() { String::new() } else { format!("; its port is answered by {by}") };
        return Health::Unhealthy(text::of_host(&format!("{unit} is {state} ({sub}) after {restarts} restarts{by}")));
    }
    match () {
        () if !is_checked_by_port || holders.iter().any(|holder| holder.unit.as_ref() == Some(unit)) => Health::Healthy,
        () if holders.is_empty() => Health::Unhealthy(format!("nothing listens on 127.0.0.1:{} any more", check.port)),
        () => Health::Unhealthy(text::of_host(&format!("port {} is answered by {by}, not by {unit}", check.port))),
    }
}

/// Who answers at the loopback address.
struct Holder {
    process: String,
    pid: u32,
    unit: Option<String>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = self.unit.as_ref().map(|unit| format!(", of {unit}")).unwrap_or_default();
        write!(f, "{} (pid {}{unit})", self.process, self.pid)
    }
}

/// The listeners at 127.0.0.1, or, where there are none, those at all addresses: the kernel prefers the exact one.
fn holders(port: u16, said: &str) -> Vec<Holder> {
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
        .map(|(process, pid)| Holder { process, pid, unit: units.get(&pid).cloned() })
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
            port: 8100,
            timeout: Duration::from_secs(1),
            user: "nobody".to_owned(),
            directory: "/srv".to_owned(),
            env_files: Vec::new(),
            unit: "odd-hello@8100.service".to_owned(),
            confined_by: Default::default(),
        }
    }

    const ACTIVE: &str = "ActiveState=active\nSubState=running\nNRestarts=0\n";
    const OURS: &str =
        "7 /system.slice/system-odd\\x2dhello.slice/odd-hello@8100.service\n9 /system.slice/legacy.service\n";

    fn listener(address: &str, name: &str, pid: u32) -> String {
        format!("LISTEN 0 5 {address}:8100 0.0.0.0:* users:((\"{name}\",pid={pid},fd=3))\n")
    }

    fn said(state: &str, listeners: &[String]) -> Health {
        verdict(&check(Check::Tcp), &format!("{state}{}{OURS}", listeners.concat()))
    }

    #[test]
    fn a_unit_whose_process_has_the_port_is_healthy() {
        for address in ["127.0.0.1", "0.0.0.0", "*", "[::]", "[::ffff:127.0.0.1]", "0.0.0.0%lo"] {
            assert_eq!(said(ACTIVE, &[listener(address, "python3", 7)]), Health::Healthy, "{address}");
        }
        assert_eq!(verdict(&check(Check::Exec(Vec::new())), ACTIVE), Health::Healthy);
    }

    #[test]
    fn a_port_that_somebody_else_answers_makes_nobody_healthy() {
        let Health::Unhealthy(why) = said(ACTIVE, &[listener("0.0.0.0", "python3", 9)]) else { panic!("healthy") };
        assert_eq!(why, "port 8100 is answered by python3 (pid 9, of legacy.service), not by odd-hello@8100.service");
        // Ours has all other addresses.
        let both = [listener("0.0.0.0", "python3", 7), listener("127.0.0.1", "old", 9)];
        assert!(matches!(said(ACTIVE, &both), Health::Unhealthy(_)));
        assert!(matches!(said(ACTIVE, &[listener("10.0.0.1", "python3", 7)]), Health::Unhealthy(_)));
        assert!(matches!(said(ACTIVE, &[]), Health::Unhealthy(_)));
    }

    #[test]
    fn a_unit_that_is_started_again_and_again_is_not_healthy_and_it_is_said_who_answers() {
        let restarting = "ActiveState=activating\nSubState=auto-restart\nNRestarts=4\n";
        let Health::Unhealthy(why) = said(restarting, &[listener("0.0.0.0", "python3", 9)]) else { panic!("healthy") };
        assert_eq!(
            why,
            "odd-hello@8100.service is activating (auto-restart) after 4 restarts; its port is answered by python3 (pid 9, \
             of legacy.service)"
        );
        assert!(matches!(verdict(&check(Check::Exec(Vec::new())), restarting), Health::Unhealthy(_)));
    }

    #[test]
    fn what_is_not_told_is_not_known() {
        assert!(matches!(said("", &[]), Health::Unknown(_)));
        assert!(matches!(said(ACTIVE, &["?ss: not found\n".to_owned()]), Health::Unknown(_)));
    }
}
