//! JSON, read so that a number keeps its text and a key that comes twice is refused.

use std::collections::BTreeMap;

use gantry_types::Value;

use super::budget::Budget;
use super::scalar;
use crate::error::{Result, TemplateError, format};

pub(super) fn read(text: &str) -> Result<Value> {
    let mut reader = Reader { text, at: 0, budget: Budget::default() };
    reader.skip_space();
    let value = reader.value()?;
    reader.skip_space();
    if reader.at < text.len() {
        return reader.malformed();
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    /// Always at the start of a character.
    at: usize,
    budget: Budget,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Value> {
        self.budget.node()?;
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.list(),
            Some(b'"') => self.string().map(Value::String),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.malformed(),
        }
    }

    fn object(&mut self) -> Result<Value> {
        self.budget.enter()?;
        self.at += 1;
        let mut members = BTreeMap::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                self.skip_space();
                if self.peek() != Some(b'"') {
                    return self.malformed();
                }
                let key = self.string()?;
                self.skip_space();
                self.expect(b':')?;
                self.skip_space();
                let value = self.value()?;
                if members.contains_key(&key) {
                    let (line, column) = self.position();
                    return format(format!("Duplicate key '{key}' (line {line}, column {column})"));
                }
                members.insert(key, value);
                self.skip_space();
                if self.ends(b'}')? {
                    break;
                }
            }
        }
        self.budget.leave();
        Ok(Value::Map(members))
    }

    fn list(&mut self) -> Result<Value> {
        self.budget.enter()?;
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                self.skip_space();
                items.push(self.value()?);
                self.skip_space();
                if self.ends(b']')? {
                    break;
                }
            }
        }
        self.budget.leave();
        Ok(Value::List(items))
    }

    /// After a member: a comma, or the end.
    fn ends(&mut self, end: u8) -> Result<bool> {
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(true)
            }
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            _ => self.malformed(),
        }
    }

    fn string(&mut self) -> Result<String> {
        let bytes = self.text.as_bytes();
        let mut end = self.at + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                // The byte after a backslash is never the end; `\u` is looked at when the text is decoded.
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => return self.malformed(),
            }
        }
        match self.text.get(self.at..=end).map(serde_json::from_str::<String>) {
            Some(Ok(decoded)) => {
                self.at = end + 1;
                Ok(decoded)
            }
            _ => self.malformed(),
        }
    }

    fn number(&mut self) -> Result<Value> {
        let bytes = self.text.as_bytes();
        let mut end = self.at;
        while matches!(bytes.get(end), Some(b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')) {
            end += 1;
        }
        let text = &self.text[self.at..end];
        if serde_json::from_str::<serde_json::Number>(text).is_err() {
            return self.malformed();
        }
        self.at = end;
        Ok(scalar::number(text))
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value> {
        if !self.text[self.at..].starts_with(word) {
            return self.malformed();
        }
        self.at += word.len();
        Ok(value)
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek() != Some(byte) {
            return self.malformed();
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Line and column, both from 1.
    fn position(&self) -> (usize, usize) {
        let before = &self.text[..self.at];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    fn malformed<T>(&self) -> Result<T> {
        let (line, column) = self.position();
        Err(TemplateError::Format(format!("JSON not well-formed. (line {line}, column {column})")))
    }
}
