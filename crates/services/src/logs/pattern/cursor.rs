//! A place in a pattern's text.

use super::PatternError;

pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the token if it comes next.
    pub(super) fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a word in any case, if it comes next and ends there.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let Some(start) = self.rest.get(..word.len()) else { return false };
        let rest = &self.rest[word.len()..];
        let ends = !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        if start.eq_ignore_ascii_case(word) && ends {
            self.rest = rest;
            true
        } else {
            false
        }
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), PatternError> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Takes characters for as long as they are wanted.
    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !wanted(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Takes a text up to a quote, which has to come next too; a backslash takes the meaning of the character behind it.
    pub(super) fn quoted(&mut self, quote: char) -> Result<String, PatternError> {
        let whole = self.rest;
        let mut characters = self.rest.strip_prefix(quote).unwrap_or_default().chars();
        let mut text = String::new();
        while let Some(character) = characters.next() {
            if character == quote {
                self.rest = characters.as_str();
                return Ok(text);
            }
            match (character, characters.as_str().chars().next()) {
                ('\\', Some(escaped)) if escaped == quote || escaped == '\\' => {
                    text.push(escaped);
                    characters.next();
                }
                _ => text.push(character),
            }
        }
        Err(PatternError::character(whole))
    }

    /// Takes what stands between two percent signs, as it is.
    pub(super) fn percent(&mut self) -> Result<&'a str, PatternError> {
        let end = self.rest[1..].find('%').ok_or_else(|| self.unexpected())?;
        let inner = &self.rest[1..=end];
        self.rest = &self.rest[end + 2..];
        Ok(inner)
    }

    /// The error for what comes next.
    pub(super) fn unexpected(&self) -> PatternError {
        match self.peek() {
            Some(character) => PatternError::character(character),
            None => PatternError::new("The pattern ends too early"),
        }
    }
}
