//! Times in the forms that the protocols use.

use gantry_types::Timestamp;
use time::format_description::well_known::Rfc2822;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset, Weekday};

use crate::shape::TimeFormat;

/// The end of the year 9999, past which no calendar form goes.
const SECONDS_MAX: f64 = 253_402_300_799.0;

impl TimeFormat {
    /// A member's format, or else its shape's.
    pub(crate) fn or(self, other: Self) -> Self {
        if self == Self::Default { other } else { self }
    }
}

/// Reads a time that stands as text. Clients are known to send any of the forms, so each is understood wherever a time is
/// wanted; the format says only what a bare number means.
pub(crate) fn parse(text: &str, format: TimeFormat) -> Option<Timestamp> {
    if let Some(at) = Timestamp::parse(text).or_else(|| basic(text)).or_else(|| http_date(text)) {
        return Some(at);
    }
    match format {
        TimeFormat::HttpDate => None,
        TimeFormat::Default | TimeFormat::Seconds | TimeFormat::Iso8601 => {
            let plain = text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'e' | b'E' | b'+'));
            from_seconds(text.parse().ok().filter(|_| plain)?)
        }
    }
}

/// Epoch seconds with a fraction.
pub(crate) fn from_seconds(seconds: f64) -> Option<Timestamp> {
    if !seconds.is_finite() || seconds.abs() > SECONDS_MAX {
        return None;
    }
    Some(Timestamp::from_millis((seconds * 1000.0).round() as i64))
}

/// `20150830T123600Z`, as signatures have it.
pub(crate) fn basic(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u16> {
        text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
    };
    let two = |from: usize| number(from, from + 2).and_then(|number| u8::try_from(number).ok());
    let month = Month::try_from(two(4)?).ok()?;
    let date = Date::from_calendar_date(i32::from(number(0, 4)?), month, two(6)?).ok()?;
    let time = Time::from_hms(two(9)?, two(11)?, two(13)?).ok()?;
    Some(timestamp(PrimitiveDateTime::new(date, time).assume_offset(UtcOffset::UTC)))
}

pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    OffsetDateTime::parse(text, &Rfc2822).ok().map(timestamp)
}

fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_millis(at.unix_timestamp() * 1000 + i64::from(at.millisecond()))
}

/// `1700000000.123`: seconds, with a fraction only where there is one.
pub(crate) fn write_seconds(at: Timestamp) -> String {
    let (seconds, millis) = (at.millis().div_euclid(1000), at.millis().rem_euclid(1000));
    if millis == 0 {
        return seconds.to_string();
    }
    if at.millis() >= 0 {
        return format!("{seconds}.{millis:03}");
    }
    let millis = at.millis().unsigned_abs();
    format!("-{}.{:03}", millis / 1000, millis % 1000)
}

/// `2023-11-14T22:13:20Z`, with milliseconds only where there are any.
pub(crate) fn write_iso8601(at: Timestamp) -> String {
    let text = at.iso8601();
    match text.strip_suffix(".000Z") {
        Some(whole) => format!("{whole}Z"),
        None => text,
    }
}

/// `20150830T123600Z`.
pub(crate) fn write_basic(at: Timestamp) -> String {
    let at = at.civil();
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second())
}

/// `Tue, 14 Nov 2023 22:13:20 GMT`.
pub(crate) fn write_http_date(at: Timestamp) -> String {
    let at = at.civil();
    let day = match at.weekday() {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    };
    let month = at.month().to_string();
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    format!("{day}, {:02} {} {:04} {hour:02}:{minute:02}:{second:02} GMT", at.day(), &month[..3], at.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_time_is_read() {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let forms = [
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.000Z",
            "2023-11-14T23:13:20+01:00",
            "20231114T221320Z",
            "Tue, 14 Nov 2023 22:13:20 GMT",
            "1700000000",
            "1.7E9",
        ];
        for form in forms {
            assert_eq!(parse(form, TimeFormat::Default), Some(at), "{form}");
        }
        for bad in ["", "now", "inf", "NaN", "1e300", "20231314T221320Z", "2023é114T221320", "+2+3"] {
            assert_eq!(parse(bad, TimeFormat::Default), None, "{bad}");
        }
    }

    #[test]
    fn every_form_is_written() {
        let at = Timestamp::from_millis(1_700_000_000_120);
        assert_eq!(write_seconds(at), "1700000000.120");
        assert_eq!(write_seconds(Timestamp::from_millis(-1_500)), "-1.500");
        assert_eq!(write_seconds(Timestamp::from_millis(2000)), "2");
        assert_eq!(write_iso8601(at), "2023-11-14T22:13:20.120Z");
        assert_eq!(write_iso8601(Timestamp::from_millis(0)), "1970-01-01T00:00:00Z");
        assert_eq!(write_basic(at), "20231114T221320Z");
        assert_eq!(write_http_date(at), "Tue, 14 Nov 2023 22:13:20 GMT");
    }
}
