//! Tokens for places in the order of events.

use gantry_api::ApiError;
use gantry_telemetry::logs::Position;
use gantry_types::Timestamp;

use super::names::invalid;

/// Digits of a token's number, as many as AWS's have.
const DIGITS: usize = 56;
/// Of those, the digits of the event's number in the store.
const NUMBER_DIGITS: usize = 28;
/// Moves times before 1970 above zero.
const TIME_OFFSET: i128 = 1 << 63;

/// Which way a reader goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

pub(super) fn invalid_token() -> ApiError {
    invalid("The specified nextToken is invalid.")
}

/// A place as one number of 56 digits, which sorts as the events do. It is an event's id too.
pub(super) fn digits(position: Position) -> String {
    let time = i128::from(position.at.millis()) + TIME_OFFSET;
    let (time_digits, number_digits) = (DIGITS - NUMBER_DIGITS, NUMBER_DIGITS);
    format!("{time:0time_digits$}{:0number_digits$}", position.number)
}

pub(super) fn read_digits(text: &str) -> Result<Position, ApiError> {
    let is_number = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let (time, number) =
        text.split_at_checked(DIGITS - NUMBER_DIGITS).filter(|_| is_number).ok_or_else(invalid_token)?;
    let time: i128 = time.parse().map_err(|_| invalid_token())?;
    let millis = i64::try_from(time - TIME_OFFSET).map_err(|_| invalid_token())?;
    Ok(Position { at: Timestamp::from_millis(millis), number: number.parse().map_err(|_| invalid_token())? })
}

/// `f/..` or `b/..`: where GetLogEvents goes on, and in which direction.
pub(super) fn write(direction: Direction, position: Position) -> String {
    let letter = match direction {
        Direction::Forward => 'f',
        Direction::Backward => 'b',
    };
    format!("{letter}/{}/s", digits(position))
}

pub(super) fn read(token: &str) -> Result<(Direction, Position), ApiError> {
    let parts: Vec<&str> = token.split('/').collect();
    let (direction, digits) = match parts.as_slice() {
        ["f", digits, "s"] => (Direction::Forward, digits),
        ["b", digits, "s"] => (Direction::Backward, digits),
        _ => return Err(invalid_token()),
    };
    Ok((direction, read_digits(digits)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_where_to_go_on() {
        for (millis, number) in
            [(0, 0), (i64::MIN, u64::MAX), (i64::MAX, 1), (-5, 7), (1_750_000_000_123, 42)]
        {
            let position = Position { at: Timestamp::from_millis(millis), number };
            assert_eq!(digits(position).len(), 56);
            assert_eq!(read_digits(&digits(position)).unwrap(), position);
            for direction in [Direction::Forward, Direction::Backward] {
                assert_eq!(read(&write(direction, position)).unwrap(), (direction, position));
            }
        }
        for bad in ["", "f/1/s", "x/", &"9".repeat(56), &format!("f/{}", "0".repeat(56)), "f/ü/s"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
