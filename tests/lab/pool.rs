//! The labs of one run: each is booted when a statement wants one and none is idle, and lent to one statement at a time.
//!
//! Keeps true: no run has labs while another one has; a lab that does not boot is tried once, and every statement that
//! wants one fails with the reason.

use std::fs::File;

use parking_lot::Mutex;

use crate::world::{self, World};

pub struct Labs {
    state: Mutex<State>,
}

struct State {
    /// Held until the labs are down.
    turn: Option<File>,
    idle: Vec<World>,
    booted: usize,
    failed: Option<String>,
}

impl Labs {
    pub const fn new() -> Self {
        Self { state: Mutex::new(State { turn: None, idle: Vec::new(), booted: 0, failed: None }) }
    }

    /// Lends a lab. As many are booted as lend one at the same time.
    pub fn lend<T>(&self, to: impl FnOnce(&World) -> T) -> Result<T, String> {
        let (idle, number) = {
            let mut state = self.state.lock();
            if let Some(why) = &state.failed {
                return Err(why.clone());
            }
            if state.turn.is_none() {
                state.turn = Some(world::take_turns()?);
            }
            let idle = state.idle.pop();
            state.booted += usize::from(idle.is_none());
            (idle, state.booted)
        };
        let world = idle.map_or_else(|| World::boot(&format!("itest{number}")), Ok);
        let world = world.inspect_err(|why| self.state.lock().failed = Some(why.clone()))?;
        let lent = to(&world);
        self.state.lock().idle.push(world);
        Ok(lent)
    }

    /// Takes all of them down.
    pub fn down(&self) {
        let mut state = self.state.lock();
        state.idle.clear();
        state.turn = None;
    }
}
