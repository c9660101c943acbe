//! The daemon's log: one record, one line, on stderr.
//!
//! Keeps true: every field of a record, and of the spans it lies in, is a field of the line, so
//! `jq .instance` finds it; a text line shows what came from outside with its control characters
//! visible, and a JSON line escapes them; journald learns how grave a line is.
//!
//! The log has a formatter of its own. That of tracing-subscriber puts what a record is about below `spans`, where
//! `jq .instance` does not find it, and lets control characters pass.

use std::{fmt, os::unix::fs::MetadataExt as _};

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber, debug, error, info, warn};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{JsonFields, Writer},
    },
    registry::LookupSpan,
};

use super::{common::Format, progress::Beside};
use crate::{
    host::waits,
    model::event,
    report::{self, Style, progress::waiting, words::one_line},
};

/// The target of records that are events.
const EVENT: &str = "evenkeel::event";

/// What a text line always shows: what the record is, and what it is about.
const ABOUT: &[&str] = &["event", "environment", "deployment", "instance", "step"];

/// Sends the program's records to stderr. `EVENKEEL_LOG` says which, as in `warn` or `evenkeel=debug`.
pub fn start(format: Format) {
    let filter = EnvFilter::try_from_env("EVENKEEL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let lines = LogLines { format, journal: stderr_is_the_journal(), style: Style(colour) };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .fmt_fields(JsonFields::new())
        .event_format(lines)
        .init();
}

/// Writes the event as one record, whose fields are the event's.
pub fn record(event: &event::Event) {
    // The text of a record that is filtered out is never made.
    let (fields, words) = (|| serde_json::to_string(event).unwrap_or_default(), || report::event::words(event));
    match event.kind.name().level() {
        event::Level::Debug => debug!(target: EVENT, fields = fields(), "{}", words()),
        event::Level::Info => info!(target: EVENT, fields = fields(), "{}", words()),
        event::Level::Warning => warn!(target: EVENT, fields = fields(), "{}", words()),
        event::Level::Error => error!(target: EVENT, fields = fields(), "{}", words()),
    }
}

/// What commands that are no daemon say while they wait, and what goes wrong meanwhile. With `EVENKEEL_LOG` they keep the
/// daemon's log.
pub fn start_for_people() {
    if std::env::var_os("EVENKEEL_LOG").is_some() {
        return start(Format::Text);
    }
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("evenkeel=warn"))
        .with_writer(|| Beside)
        .fmt_fields(JsonFields::new())
        .event_format(ForPeople(Style(colour)))
        .init();
}

/// One line for people: of waits as a deployment's progress looks, of all else a warning.
struct ForPeople(Style);

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for ForPeople {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        let fields = object(&text);
        let field = |name: &str| fields.get(name).map(plain).unwrap_or_default();
        if event.metadata().target() == waits::TARGET {
            let waited = fields.get("waited_s").and_then(Value::as_u64).unwrap_or_default();
            return writeln!(writer, "{}", waiting(&field("instance"), &field("waiting_for"), waited, self.0));
        }
        let place = fields.get("instance").map(|instance| format!("{}: ", plain(instance))).unwrap_or_default();
        writeln!(writer, "{} {}", self.0.warn("warning:"), one_line(&format!("{place}{}", field("message"))))
    }
}

/// `$JOURNAL_STREAM` names the device and inode of the journal's stream, as systemd.exec(5) has it. Comparing
/// tells a stderr that somebody has redirected.
fn stderr_is_the_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let stderr = std::fs::metadata("/proc/self/fd/2").map(|file| format!("{}:{}", file.dev(), file.ino()));
    named.is_some_and(|named| stderr.is_ok_and(|stderr| stderr == named))
}

struct LogLines {
    format: Format,
    journal: bool,
    style: Style,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for LogLines {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Map::new();
        // From the outside in: what is nearer to the event goes before.
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(text) = span.extensions().get::<FormattedFields<JsonFields>>() {
                fields.extend(object(text));
            }
        }
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        fields.extend(object(&text));
        if event.metadata().target() == EVENT {
            let told = fields.remove("fields").map(|told| object(&plain(&told))).unwrap_or_default();
            // The line has a time already.
            fields.extend(told.into_iter().filter(|(name, value)| name != "at" && !value.is_null()));
        }
        self.write(writer, *event.metadata().level(), fields)
    }
}

impl LogLines {
    fn write(&self, mut writer: Writer<'_>, level: Level, fields: Map<String, Value>) -> fmt::Result {
        if self.journal {
            write!(writer, "<{}>", priority(level))?;
        }
        match self.format {
            Format::Json => writeln!(writer, "{}", json(level, fields)),
            Format::Text => writeln!(writer, "{}", self.text(level, fields)),
        }
    }

    fn text(&self, level: Level, mut fields: Map<String, Value>) -> String {
        let message = fields.remove("message").map(|message| plain(&message)).unwrap_or_default();
        let mut line = one_line(&message);
        for (key, value) in fields.iter().filter(|(key, value)| !is_worded(key, value, &message)) {
            line += &self.style.dim(&format!(" {key}={}", word(value)));
        }
        let level_and_line = format!("{} {line}", self.level(level));
        // journald stamps each line itself.
        if self.journal { level_and_line } else { format!("{} {level_and_line}", self.style.dim(&now())) }
    }

    fn level(&self, level: Level) -> String {
        let text = format!("{level:>5}");
        match level {
            Level::ERROR => self.style.bad(&text),
            Level::WARN => self.style.warn(&text),
            Level::INFO => self.style.good(&text),
            Level::DEBUG | Level::TRACE => self.style.dim(&text),
        }
    }
}

/// As sd-daemon(3) has it: syslog's numbers.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

fn json(level: Level, mut fields: Map<String, Value>) -> String {
    fields.insert("level".to_owned(), level.as_str().into());
    fields.insert("timestamp".to_owned(), now().into());
    let mut line = String::new();
    // serde_json leaves those beyond ASCII as they are. Outside of a text there is none.
    for c in Value::Object(fields).to_string().chars() {
        if c.is_control() {
            line += &format!("\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
    line
}

/// RFC 3339, in UTC.
fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Whether the record's words tell the field already: a list or a table always, a text where they hold it.
fn is_worded(key: &str, value: &Value, message: &str) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) => true,
        Value::String(text) => !ABOUT.contains(&key) && message.contains(text.as_str()),
        _ => false,
    }
}

/// What [`JsonFields`] has written.
fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// In quotes where it would not be one word.
fn word(value: &Value) -> String {
    let text = plain(value);
    let is_word = !text.is_empty() && !text.contains([' ', '"', '=']);
    one_line(&if is_word { text } else { Value::from(text).to_string() })
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use parking_lot::Mutex;

    use super::*;
    use crate::model::{event::EventKind, outcome::Outcome};

    fn fields(list: &[(&str, Value)]) -> Map<String, Value> {
        list.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    fn written(format: Format, journal: bool, level: Level, list: &[(&str, Value)]) -> String {
        let mut line = String::new();
        let lines = LogLines { format, journal, style: Style(false) };
        lines.write(Writer::new(&mut line), level, fields(list)).expect("a text takes all");
        line
    }

    #[test]
    fn the_journal_learns_how_grave_a_line_is_and_stamps_it_itself() {
        for (level, expected) in [
            (Level::ERROR, "<3>ERROR it broke instance=h1\n"),
            (Level::WARN, "<4> WARN it broke instance=h1\n"),
            (Level::INFO, "<6> INFO it broke instance=h1\n"),
            (Level::DEBUG, "<7>DEBUG it broke instance=h1\n"),
        ] {
            let line = written(Format::Text, true, level, &[("message", "it broke".into()), ("instance", "h1".into())]);
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        let hostile = "one\ntwo\u{1b}[31m\u{9b}31m";
        let list = [("message", hostile.into()), ("step", "a b\n".into()), ("deployment", 7.into())];
        let text = written(Format::Text, true, Level::INFO, &list);
        assert_eq!(text, "<6> INFO one | two\\x1b[31m\\u{9b}31m deployment=7 step=\"a b\\n\"\n");
        let line = written(Format::Json, false, Level::INFO, &list);
        assert!(!line.trim_end().contains(char::is_control), "{line}");
        let read: Value = serde_json::from_str(&line).expect("it is JSON");
        assert_eq!((&read["message"], &read["deployment"]), (&hostile.into(), &7.into()));
    }

    /// Where a subscriber writes to.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged meanwhile.
    fn logged(format: Format, work: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .fmt_fields(JsonFields::new())
            .event_format(LogLines { format, journal: true, style: Style(false) })
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(sink.0.lock().clone()).expect("it is UTF-8")
    }

    #[test]
    fn an_events_fields_are_its_records_and_its_words_are_not_repeated() {
        let kind = EventKind::DeploymentEnded {
            outcome: Outcome::Applied,
            ms: Some(7),
            cause: None,
            instance: None,
            step: None,
            why: None,
        };
        let (at, environment) = ("2026-11-21T13:14:05.000Z".to_owned(), "production".parse().ok());
        let ended = event::Event { at, environment, deployment: Some(12), kind };
        let json = logged(Format::Json, || record(&ended));
        let mut read: Value = serde_json::from_str(json.trim_start_matches("<6>")).expect("it is one JSON object");
        read["timestamp"].take();
        let expected = serde_json::json!({
            "timestamp": null, "level": "INFO", "message": "deployment ended", "event": "deployment.ended",
            "environment": "production", "deployment": 12, "outcome": "applied", "ms": 7,
        });
        assert_eq!(read, expected);
        let failed = event::Event { kind: EventKind::SyncFailed { why: event::Detail::of("gone\naway") }, ..ended };
        let text = logged(Format::Text, || record(&failed));
        let about = "deployment=12 environment=production event=sync.failed";
        assert_eq!(text, format!("<3>ERROR gone | away {about}\n"));
    }

    #[test]
    fn what_spans_are_about_their_records_are_about() {
        let written = logged(Format::Json, || {
            let _pass =
                tracing::info_span!("pass", environment = "production", deployment = tracing::field::Empty).entered();
            tracing::Span::current().record("deployment", 7);
            let _instance = tracing::info_span!("instance", instance = "h1", step = "outer").entered();
            tracing::info!(step = "inner", "done");
        });
        let mut read: Value = serde_json::from_str(written.trim_start_matches("<6>")).expect("it is one JSON object");
        read["timestamp"].take();
        let expected = serde_json::json!({
            "timestamp": null, "level": "INFO", "message": "done",
            "environment": "production", "deployment": 7, "instance": "h1", "step": "inner",
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn a_field_cannot_pass_for_the_level_or_the_time() {
        let list = [("level", "quiet".into()), ("timestamp", "never".into())];
        let read: Value = serde_json::from_str(&written(Format::Json, false, Level::ERROR, &list)).expect("it is JSON");
        assert_eq!(read["level"], "ERROR");
        let time = read["timestamp"].as_str().and_then(|time| chrono::DateTime::parse_from_rfc3339(time).ok());
        assert!(time.is_some_and(|time| time.offset().local_minus_utc() == 0), "{read}");
    }
}
