//! The right to change the hosts of an environment, as a value.
//!
//! Keeps true: what applies, undoes, heals or fences holds a [`Lease`], and nothing but what a store said grants one: an
//! intent that was appended by compare-and-swap, an open intent of this very controller, or a history in which nothing is
//! open. No module outside of this folder can make one, so a deployment that was not recorded first does not compile.
//!
//! Releases are staged, and read again, without: nothing that runs changes by either.

/// What a store said, and nobody made up.
#[derive(Debug, Clone)]
pub struct StoreAnswer(());

impl StoreAnswer {
    pub(super) fn read() -> Self {
        Self(())
    }
}

/// The right to change the hosts of one environment. There is no other way to it than by `log.rs`.
#[derive(Debug)]
pub struct Lease {
    generation: u64,
    /// None: no generation is newer than what this covers.
    newest_covered: Option<u64>,
}

impl Lease {
    /// For a deployment whose intent stands in the history.
    pub(super) fn of_intent(generation: u64) -> Self {
        Self { generation, newest_covered: Some(generation) }
    }

    /// For what records its end only, while nothing is open. `ended`: the newest generation that is over.
    pub(super) fn while_idle(generation: u64, ended: Option<u64>) -> Self {
        Self { generation, newest_covered: ended }
    }

    /// The generation that hosts are told.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether what began on a host under this generation may be undone: the history tells of it.
    pub fn covers(&self, generation: u64) -> bool {
        self.newest_covered.is_none_or(|newest| generation <= newest)
    }
}
