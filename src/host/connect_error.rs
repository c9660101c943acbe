//! Why a host is not connected to, or ends the login.
//!
//! Keeps true: each text begins with the address that it is about, and tells the next move where there is one.

use std::net::SocketAddr;

use thiserror::Error;

/// Why one is not logged in. Each text begins with the address that it is about.
#[derive(Debug, Clone, Error)]
pub enum ConnectError {
    #[error(
        "{address} has no host_key that is pinned, so nothing connects to it; print the key with `{printed_by}`, \
         compare it with /etc/ssh/ssh_host_ed25519_key.pub on its console, and put it into instances/{instance}.yaml"
    )]
    NotPinned { address: SocketAddr, printed_by: String, instance: String },
    #[error("{address} has a host_key that is not a public key: {why}")]
    BadPin { address: SocketAddr, why: String },
    #[error("{address} does not answer: {why}")]
    Unreachable { address: SocketAddr, why: String },
    #[error(
        "{address} shows another host key than the pinned one ({shown}); someone may be in between. \
         If the host was rebuilt, compare the new key on its console and pin it"
    )]
    WrongKey { address: SocketAddr, shown: String },
    #[error("{user}@{address} refuses the login; tried {tried}{takes}; `journalctl -u ssh` there says why")]
    Refused { address: SocketAddr, user: String, tried: String, takes: String },
    #[error(
        "{user}@{address} takes {key} and asks for more than a key: {more}. A second factor cannot be given from here; \
         have its sshd_config ask {user} for a key alone: `Match User {user}` with `AuthenticationMethods publickey`"
    )]
    SecondFactor { address: SocketAddr, user: String, key: String, more: String },
    #[error("{user}@{address} ends the login, having been shown {key}: {why}")]
    Denied { address: SocketAddr, user: String, key: String, why: String },
    #[error("{address} ended the connection while logging in: {why}")]
    Protocol { address: SocketAddr, why: String },
    #[error(
        "{address} does not forward to {to}; have its sshd_config say `AllowTcpForwarding yes`, and neither \
         `PermitOpen` there nor `restrict` before the key in authorized_keys forbid it"
    )]
    NotForwarded { address: SocketAddr, to: SocketAddr },
    /// The same of the jump host.
    #[error("the jump host {}{}", .0, .0.beyond())]
    Jump(Box<ConnectError>),
}

impl ConnectError {
    /// Whether trying again can end better without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            // A host that boots lets nobody in yet.
            ConnectError::Unreachable { .. } | ConnectError::Protocol { .. } | ConnectError::Denied { .. } => true,
            ConnectError::Jump(error) => error.may_pass(),
            ConnectError::NotPinned { .. }
            | ConnectError::BadPin { .. }
            | ConnectError::WrongKey { .. }
            | ConnectError::Refused { .. }
            | ConnectError::SecondFactor { .. }
            | ConnectError::NotForwarded { .. } => false,
        }
    }

    /// What else is to be said when it is a jump host's.
    fn beyond(&self) -> &'static str {
        match self {
            ConnectError::Unreachable { .. } | ConnectError::Protocol { .. } => {
                "; nothing behind it is reached until it is back. See that it runs, and that `ssh.jump` has its address"
            }
            ConnectError::Refused { .. } => "; let one of these keys in there, if only to forward",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_jump_host_names_it_and_the_next_move() {
        let address: SocketAddr = "192.0.2.1:2222".parse().expect("an address");
        let to = "10.0.0.1:22".parse().expect("an address");
        let text = ToString::to_string;
        let user = text("gate");
        let cases = [
            (
                ConnectError::NotPinned { address, printed_by: text("ssh-keyscan x"), instance: text("h1") },
                false,
                "instances/h1.yaml",
            ),
            (ConnectError::BadPin { address, why: text("no") }, false, "not a public key"),
            (ConnectError::Unreachable { address, why: text("no route") }, true, "See that it runs"),
            (ConnectError::Protocol { address, why: text("early eof") }, true, "See that it runs"),
            (ConnectError::WrongKey { address, shown: text("SHA256:x") }, false, "pin it"),
            (
                ConnectError::Refused { address, user, tried: text("the agent"), takes: String::new() },
                false,
                "let one of these keys in",
            ),
            (ConnectError::NotForwarded { address, to }, false, "AllowTcpForwarding yes"),
        ];
        for (error, may_pass, next_move) in cases {
            let error = ConnectError::Jump(Box::new(error));
            let told = error.to_string();
            assert_eq!(error.may_pass(), may_pass, "{told}");
            for words in ["the jump host ", "192.0.2.1:2222", next_move] {
                assert!(told.contains(words), "`{words}` is not said in: {told}");
            }
        }
    }
}
