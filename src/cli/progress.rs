//! What people see while something takes longer than a moment.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use super::common;
use crate::{
    model::event::{Event, EventKind},
    report,
};

/// The line that moves at the moment.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A line that moves, on a terminal; nothing elsewhere.
pub struct Spinner {
    bar: Arc<ProgressBar>,
}

impl Spinner {
    pub fn start(doing: &'static str) -> Self {
        let bar = if common::on_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(doing);
        bar.enable_steady_tick(Duration::from_millis(100));
        *SHOWN.lock() = Some(bar.clone());
        Self { bar: Arc::new(bar) }
    }

    /// Counts the instances that have answered.
    pub fn watch(&self) -> impl Fn(EventKind) + Send + Sync + 'static {
        let bar = self.bar.clone();
        move |event| match event {
            EventKind::HostsAsked { instances } => bar.set_length(instances as u64),
            EventKind::HostObserved { .. } | EventKind::HostUnreachable { .. } => {
                bar.inc(1);
                let (done, all) = (bar.position(), bar.length().unwrap_or(0));
                bar.set_message(format!("observing: {done} of {all} instances"));
            }
            _ => {}
        }
    }

    pub fn finish(self) {}
}

impl Drop for Spinner {
    fn drop(&mut self) {
        *SHOWN.lock() = None;
        self.bar.finish_and_clear();
    }
}

/// Standard error beside the line that moves, for whole lines.
pub struct Beside;

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let shown = SHOWN.lock().clone();
        let write = || io::stderr().write_all(bytes);
        shown.map_or_else(write, |bar| bar.suspend(write)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The event in one line on standard error, where people want to see it.
pub fn print(event: &Event) {
    if let Some(line) = report::progress::line(event, common::style()) {
        common::say(&line);
    }
}
