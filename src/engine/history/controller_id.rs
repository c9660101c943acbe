//! Which controller writes: what tells one from another in records.

use crate::model::digest::Digest;

/// Who asks, where no person does.
pub const CONTROLLER: &str = "the controller";

/// A controller, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerId {
    /// The machine and the process, for people.
    pub name: String,
    /// The machine and the state directory: the same after a restart. What sits here alone holds the
    /// directory's lock, so an intent of this id is not somebody else's.
    pub id: String,
}

impl ControllerId {
    /// This process, as others see it. `place` is where its state is kept.
    pub fn of(place: &std::path::Path) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // Machines that were cloned have the same name; this tells them apart where it is there.
        let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
        let place = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
        let id = Digest::of_fields([host.as_bytes(), &machine, place.as_os_str().as_encoded_bytes()]);
        Self { name: format!("{host} (pid {})", std::process::id()), id: id.short().to_owned() }
    }
}
