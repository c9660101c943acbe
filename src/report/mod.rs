pub mod deployment;
pub mod findings;
pub mod plan;
pub mod progress;
pub mod status;
pub mod why;
#[derive(Clone, Copy)]
pub struct Style(pub bool);
pub fn chain(error: &dyn std::error::Error) -> String { let mut t = error.to_string(); let mut e = error.source(); while let Some(s) = e { t += &format!(": {s}"); e = s.source(); } t }
pub fn failure(m: &str, h: Option<&str>, _: Style) -> String { format!("error: {m}\n{}", h.unwrap_or("")) }
pub fn heading(t: &str, _: Style) -> String { format!("== {t}") }
