//! Words that an event has or has not: `ERROR -"exit code" %timed?out%`, or any of `?ERROR ?WARN`.

use regex::bytes::Regex;

use super::value::regex;
use super::{Cursor, PatternError};

/// What an event needs. Optional words count only where no other word is asked for, as at AWS.
#[derive(Debug, Default)]
pub(super) struct Words {
    wanted: Vec<Word>,
    unwanted: Vec<Word>,
    any_of: Vec<Word>,
}

#[derive(Debug)]
enum Word {
    Text(String),
    Regex(Regex),
}

impl Word {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(text) => message.contains(text.as_str()),
            Self::Regex(regex) => regex.is_match(message.as_bytes()),
        }
    }
}

impl Words {
    pub(super) fn matches(&self, message: &str) -> bool {
        let is_in = |word: &Word| word.is_in(message);
        if self.wanted.is_empty() && self.unwanted.is_empty() {
            return self.any_of.iter().any(is_in);
        }
        self.wanted.iter().all(is_in) && !self.unwanted.iter().any(is_in)
    }
}

pub(super) fn parse(text: &str) -> Result<Words, PatternError> {
    let mut words = Words::default();
    let mut cursor = Cursor::new(text);
    loop {
        cursor.skip_space();
        if cursor.is_at_end() {
            return Ok(words);
        }
        let place = if cursor.take("-") {
            &mut words.unwanted
        } else if cursor.take("?") {
            &mut words.any_of
        } else {
            &mut words.wanted
        };
        place.push(word(&mut cursor)?);
    }
}

fn word(cursor: &mut Cursor<'_>) -> Result<Word, PatternError> {
    let word = match cursor.peek() {
        Some('"') => {
            let phrase = cursor.quoted('"')?;
            if phrase.is_empty() {
                return Err(PatternError::character("\"\""));
            }
            Word::Text(phrase)
        }
        Some('%') => Word::Regex(regex(cursor.percent()?)?),
        _ => match cursor.take_while(|next| next.is_alphanumeric() || next == '_') {
            "" => return Err(cursor.unexpected()),
            plain => Word::Text(plain.to_owned()),
        },
    };
    // A word ends where it seems to: what else stands in it has to be quoted.
    match cursor.peek() {
        Some(next) if !next.is_whitespace() => Err(cursor.unexpected()),
        _ => Ok(word),
    }
}
