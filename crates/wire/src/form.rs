//! Forms: `a=1&b.member.2=x`, flat and as a tree.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::decode::DecodeError;
use crate::limits::{FORM_NAME_PARTS_MAX, FORM_PARAMETERS_MAX};

/// The parameters in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Form {
    parameters: Vec<(String, String)>,
}

impl Form {
    /// Parses a form body or query string, and adds its parameters.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if self.parameters.len() == FORM_PARAMETERS_MAX {
                return Err(DecodeError::body(format!("More than {FORM_PARAMETERS_MAX} parameters")));
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || percent_decode(halves.next().unwrap_or(b""), Plus::IsSpace);
            let (name, value) = (half()?, half()?);
            self.parameters.push((name, value));
        }
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The tree that the dots in the names make. List indexes are keys like any other, so a huge one costs nothing.
    pub(crate) fn tree(&self) -> Result<Node<'_>, DecodeError> {
        let mut root = Node::default();
        for (name, value) in self.iter() {
            let mut node = &mut root;
            for (depth, part) in name.split('.').enumerate() {
                if depth == FORM_NAME_PARTS_MAX {
                    return Err(DecodeError::body(format!(
                        "A parameter's name has more than {FORM_NAME_PARTS_MAX} parts"
                    )));
                }
                node = node.children.entry(part).or_default();
            }
            node.text = Some(value);
        }
        Ok(root)
    }
}

/// One part of a parameter's name.
#[derive(Debug, Default)]
pub(crate) struct Node<'a> {
    pub(crate) text: Option<&'a str>,
    pub(crate) children: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Node<'a> {
    /// The children with numbers for names, in the numbers' order; gaps close.
    pub(crate) fn numbered(&self) -> Vec<(u32, &Node<'a>)> {
        let numbers = self.children.iter().filter_map(|(key, node)| Some((key.parse::<u32>().ok()?, node)));
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_by_key(|(number, _)| *number);
        numbers
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plus {
    IsSpace,
    IsPlus,
}

/// Percent-decodes into UTF-8. A `%` without two hexadecimal digits is an error.
pub(crate) fn percent_decode(bytes: &[u8], plus: Plus) -> Result<String, DecodeError> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' if plus == Plus::IsSpace => decoded.push(b' '),
            b'%' => {
                let digits = tail.get(..2).and_then(|digits| Some((hex(digits[0])?, hex(digits[1])?)));
                let (high, low) = digits
                    .ok_or_else(|| DecodeError::body("A percent sign without two hexadecimal digits"))?;
                decoded.push(high << 4 | low);
                rest = &tail[2..];
            }
            other => decoded.push(*other),
        }
    }
    String::from_utf8(decoded).map_err(|_| DecodeError::body("Bytes that are not UTF-8"))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Percent-encodes all but the unreserved characters, as signatures demand.
pub(crate) fn percent_encode<'a>(bytes: &'a [u8], keep: &[u8]) -> Cow<'a, str> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || keep.contains(byte);
    if bytes.iter().all(plain) {
        return String::from_utf8_lossy(bytes);
    }
    let mut encoded = String::with_capacity(bytes.len() + 16);
    for byte in bytes {
        if plain(byte) {
            encoded.push(char::from(*byte));
        } else {
            let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        let mut form = Form::default();
        form.extend(text.as_bytes()).unwrap();
        form
    }

    #[test]
    fn a_form_becomes_a_tree() {
        let form = form("Action=A&Tags.member.2.Key=b&Tags.member.10.Key=c%20d+e&Tags.member.1.Key=a&Empty=");
        assert_eq!(form.get("Action"), Some("A"));
        let tree = form.tree().unwrap();
        let list: Vec<_> = tree.children["Tags"].children["member"]
            .numbered()
            .into_iter()
            .map(|(number, node)| (number, node.children["Key"].text.unwrap()))
            .collect();
        assert_eq!(list, [(1, "a"), (2, "b"), (10, "c d e")]);
        assert_eq!(tree.children["Empty"].text, Some(""));
    }

    #[test]
    fn a_form_has_limits() {
        let mut many = Form::default();
        assert!(many.extend("a&".repeat(FORM_PARAMETERS_MAX).as_bytes()).is_ok());
        assert!(many.extend(b"a").is_err());
        assert!(form(&format!("{}=1", "a.".repeat(40))).tree().is_err());
        assert_eq!(
            form("Foo.member.999999999=x").tree().unwrap().children["Foo"].children["member"]
                .numbered()
                .len(),
            1
        );
        for bad in ["a=%", "a=%4", "%zz=1", "a=%ff"] {
            assert!(Form::default().extend(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn percent_encoding_keeps_the_unreserved() {
        assert_eq!(percent_encode("aZ9-._~/ü ".as_bytes(), b""), "aZ9-._~%2F%C3%BC%20");
        assert_eq!(percent_encode(b"a/b", b"/"), "a/b");
        assert_eq!(percent_decode(b"a+b%2B", Plus::IsPlus).unwrap(), "a+b+");
    }
}
