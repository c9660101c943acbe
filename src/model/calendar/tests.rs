//! Windows, freezes and changes of the clock.

use super::*;

fn window(days: &str, from: &str, to: &str, zone: &str) -> Window {
    Window {
        days: days.parse().expect("days"),
        from: from.parse().expect("a time"),
        to: to.parse().expect("a time"),
        zone: zone.parse().expect("a zone"),
    }
}

fn freeze(from: &str, to: &str, zone: &str) -> Freeze {
    let moment = |text: &str| text.parse().expect("a moment");
    Freeze { from: moment(from), to: moment(to), zone: zone.parse().expect("a zone"), reason: None }
}

fn at(text: &str) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time").and_utc()
}

fn open(calendar: &Calendar, now: &str, days: u64) -> Vec<String> {
    let told = |at: DateTime<Utc>| at.format("%m-%d %H:%M").to_string();
    calendar.open(at(now), days).into_iter().map(|(from, to)| format!("{} to {}", told(from), told(to))).collect()
}

fn of(windows: &[Window], freezes: &[Freeze]) -> Calendar {
    Calendar { windows: windows.to_vec(), freezes: freezes.to_vec() }
}

#[test]
fn without_windows_it_is_open_but_for_freezes() {
    let always = of(&[], &[]);
    assert!(always.is_always_open());
    assert_eq!(open(&always, "2026-11-30 12:00", 2), ["11-30 12:00 to 12-02 12:00"]);
    let frozen = of(&[], &[freeze("2026-12-01", "2026-12-01", "UTC")]);
    assert_eq!(open(&frozen, "2026-11-30 12:00", 3), ["11-30 12:00 to 12-01 00:00", "12-02 00:00 to 12-03 12:00"]);
    assert_eq!(open(&frozen, "2026-12-01 12:00", 1), ["12-02 00:00 to 12-02 12:00"]);
}

#[test]
fn any_window_opens_and_each_freeze_closes() {
    // 2026-11-30 is a Monday.
    let weekly = [window("mon-thu", "09:00", "17:00", "UTC"), window("tue", "16:00", "18:00", "UTC")];
    assert_eq!(
        open(&of(&weekly, &[]), "2026-11-30 10:00", 2),
        ["11-30 10:00 to 11-30 17:00", "12-01 09:00 to 12-01 18:00", "12-02 09:00 to 12-02 10:00"]
    );
    let lunch = freeze("2026-12-01 12:00", "2026-12-01 13:00", "UTC");
    assert_eq!(
        open(&of(&weekly, &[lunch]), "2026-12-01 00:00", 1),
        ["12-01 09:00 to 12-01 12:00", "12-01 13:00 to 12-01 18:00"]
    );
    assert_eq!(open(&of(&weekly, &[freeze("2026-11-01", "2027-01-31", "UTC")]), "2026-12-01 00:00", 60), [""; 0]);
}

#[test]
fn a_window_that_ends_before_it_begins_goes_over_midnight() {
    let night = window("fri", "22:00", "02:00", "UTC");
    assert_eq!(night.length(), TimeDelta::hours(4));
    assert_eq!(open(&of(&[night], &[]), "2026-12-05 01:00", 1), ["12-05 01:00 to 12-05 02:00"]);
    let all_day = window("sat", "00:00", "24:00", "UTC");
    assert_eq!(open(&of(&[all_day], &[]), "2026-12-04 00:00", 3), ["12-05 00:00 to 12-06 00:00"]);
}

/// In Berlin clocks go from 02:00 to 03:00 on 2026-03-29, and from 03:00 to 02:00 on 2026-10-25.
#[test]
fn both_changes_of_the_clock_move_a_window_with_them() {
    let of_berlin = |from, to| of(&[window("sun", from, to, "Europe/Berlin")], &[]);
    // The hour that is left out: what begins or ends in it does so when clocks have jumped.
    assert_eq!(open(&of_berlin("02:30", "04:00"), "2026-03-29 00:00", 1), ["03-29 01:00 to 03-29 02:00"]);
    assert_eq!(open(&of_berlin("01:00", "02:30"), "2026-03-29 00:00", 1), ["03-29 00:00 to 03-29 01:00"]);
    assert_eq!(open(&of_berlin("02:10", "02:50"), "2026-03-29 00:00", 1), [""; 0], "it is not there that day");
    // The hour that comes twice: from its first time to its second.
    assert_eq!(open(&of_berlin("02:00", "02:30"), "2026-10-25 00:00", 1), ["10-25 00:00 to 10-25 01:30"]);
    // A working day is as long as ever, an hour later by the sun.
    let work = of(&[window("mon", "09:00", "17:00", "Europe/Berlin")], &[]);
    assert_eq!(open(&work, "2026-10-19 00:00", 1), ["10-19 07:00 to 10-19 15:00"]);
    assert_eq!(open(&work, "2026-10-26 00:00", 1), ["10-26 08:00 to 10-26 16:00"]);
}

#[test]
fn what_people_write_is_read_and_written_back() {
    for (text, written) in [("mon-fri", "mon,tue,wed,thu,fri"), ("fri-mon", "mon,fri,sat,sun"), ("wed", "wed")] {
        assert_eq!(text.parse::<WeekDays>().map(|days| days.to_string()), Ok(written.to_owned()));
    }
    for text in ["", "monday", "mon-", "mon,", "mon fri"] {
        assert!(text.parse::<WeekDays>().is_err(), "{text}");
    }
    assert_eq!("24:00".parse::<TimeOfDay>().map(|time| time.to_string()), Ok("24:00".to_owned()));
    for text in ["9:00", "24:01", "12:60", "noon", "12:0a"] {
        assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
    }
    for text in ["2026-12-24", "2026-12-24 18:00"] {
        assert_eq!(text.parse::<Moment>().map(|moment| moment.to_string()), Ok(text.to_owned()));
    }
    for text in ["2026-13-01", "26-12-24", "2026-12-24T18:00", "2026-12-24 25:00"] {
        assert!(text.parse::<Moment>().is_err(), "{text}");
    }
    assert!("Europe/Berlin".parse::<Zone>().is_ok() && "Europe/Nowhere".parse::<Zone>().is_err());
}
