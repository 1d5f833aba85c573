//! From the text of a Dockerfile to its instructions: comments, directives, continued lines, flags.

use super::error::{BuildError, at_line};
use crate::limits::Limits;

/// One instruction, not understood yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it begins, counted from 1.
    pub(super) number: usize,
    /// In upper case.
    pub(super) keyword: String,
    /// `--name` and the value after `=`, if there is one.
    pub(super) flags: Vec<(String, Option<String>)>,
    /// What follows the flags.
    pub(super) rest: String,
    /// Keyword, flags and rest as written, for messages and the image's history.
    pub(super) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    /// `\` unless a directive says `` ` ``.
    pub(super) escape: char,
    pub(super) lines: Vec<Line>,
}

pub(super) fn parse(text: &str, limits: &Limits) -> Result<Lines, BuildError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut physical = text.lines().enumerate().map(|(at, line)| (at + 1, line)).peekable();
    let mut escape = None;
    // Directives stand at the very top, and the first line that is none ends them.
    while let Some((number, line)) = physical.peek().copied() {
        let Some((name, value)) = directive(line) else { break };
        match name.as_str() {
            "escape" => {
                let character = match value {
                    "\\" => '\\',
                    "`" => '`',
                    other => {
                        return Err(at_line(
                            number,
                            format!("the escape character is \\ or `, not {other:?}"),
                        ));
                    }
                };
                if escape.replace(character).is_some() {
                    return Err(at_line(number, "the escape directive stands here a second time"));
                }
            }
            "syntax" | "check" => {}
            _ => break,
        }
        physical.next();
    }
    let escape = escape.unwrap_or('\\');
    let mut lines = Vec::new();
    while let Some((number, line)) = physical.next() {
        if is_comment(line) || line.trim().is_empty() {
            continue;
        }
        let (mut joined, mut ends) = without_continuation(line.trim_start(), escape);
        while !ends {
            let Some((_, next)) = physical.next() else { break };
            if is_comment(next) || next.trim().is_empty() {
                continue;
            }
            let (more, last) = without_continuation(next, escape);
            joined.push_str(&more);
            ends = last;
        }
        if lines.len() == limits.instructions_max {
            return Err(at_line(number, format!("more than {} instructions", limits.instructions_max)));
        }
        if !joined.trim().is_empty() {
            lines.push(instruction(number, joined.trim(), escape)?);
        }
    }
    Ok(Lines { escape, lines })
}

/// `# name=value`
fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let name = name.trim();
    let named = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|character| character.is_ascii_alphanumeric());
    (named && !value.trim().is_empty()).then(|| (name.to_ascii_lowercase(), value.trim()))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// The line without an escape character at its end, and whether the instruction ends here. An escaped escape
/// character continues nothing.
fn without_continuation(line: &str, escape: char) -> (String, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before.to_owned(), false),
        _ => (line.to_owned(), true),
    }
}

fn instruction(number: usize, text: &str, escape: char) -> Result<Line, BuildError> {
    let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut rest = rest.trim();
    let mut flags = Vec::new();
    while rest.starts_with("--") {
        let (flag, after) = flag(rest, escape).map_err(|message| at_line(number, message))?;
        rest = after;
        if flag == "--" {
            break;
        }
        flags.push(match flag.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (flag, None),
        });
    }
    Ok(Line {
        number,
        keyword: keyword.to_ascii_uppercase(),
        flags,
        rest: rest.to_owned(),
        text: text.to_owned(),
    })
}

/// The first word, with its quotes taken off, and what follows it.
fn flag(text: &str, escape: char) -> Result<(String, &str), String> {
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match quote {
            None if character.is_whitespace() => return Ok((word, text[at..].trim_start())),
            None if character == '"' || character == '\'' => quote = Some(character),
            Some(open) if character == open => quote = None,
            _ if character == escape && quote != Some('\'') => {
                word.extend(characters.next().map(|(_, next)| next));
            }
            _ => word.push(character),
        }
    }
    match quote {
        None => Ok((word, "")),
        Some(open) => Err(format!("a quote {open} in a flag is not closed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        match parse(text, &Limits::default()) {
            Ok(lines) => {
                let show = |line: &Line| {
                    let flags: String = line
                        .flags
                        .iter()
                        .map(|(name, value)| match value {
                            Some(value) => format!(" [{name}]=[{value}]"),
                            None => format!(" [{name}]"),
                        })
                        .collect();
                    format!("{}: {}{flags} [{}]", line.number, line.keyword, line.rest)
                };
                lines.lines.iter().map(show).collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn instructions_are_told_apart() {
        #[rustfmt::skip]
        let table = [
            ("FROM a\nCOPY b c", "1: FROM [a]\n2: COPY [b c]"),
            ("\u{feff}from  a \r\n  copy\tb   c\t\r\n", "1: FROM [a]\n2: COPY [b   c]"),
            ("# comment\n\n  # another\nFROM a # no comment", "4: FROM [a # no comment]"),
            ("ENV a=1 \\\n    b=2\nCMD x", "1: ENV [a=1     b=2]\n3: CMD [x]"),
            ("ENV a=1 \\\n# comment\n\n  b=2 \\  \n", "1: ENV [a=1   b=2]"),
            ("ENV a=b\\\\\nCMD x", "1: ENV [a=b\\\\]\n2: CMD [x]"),
            ("\\\nFROM a", "1: FROM [a]"),
            ("# escape=`\nENV a=c:\\\nENV b=1 `\n c=2", "2: ENV [a=c:\\]\n3: ENV [b=1  c=2]"),
            ("# syntax=docker/dockerfile:1\n#escape = `\nENV a `\nb", "3: ENV [a b]"),
            ("# a comment\n# escape=`\nENV a \\\nb", "3: ENV [a b]"),
            ("FROM a\n# escape=`\nENV a \\\nb", "1: FROM [a]\n3: ENV [a b]"),
            ("# escape=x", "Dockerfile line 1: the escape character is \\ or `, not \"x\""),
            ("# escape=`\n# escape=`", "Dockerfile line 2: the escape directive stands here a second time"),
            ("COPY --from=x --chown='a b' --link c d", "1: COPY [--from]=[x] [--chown]=[a b] [--link] [c d]"),
            ("COPY --from=\\\n  x -- --a b", "1: COPY [--from]=[] [x -- --a b]"),
            ("COPY -- --a b", "1: COPY [--a b]"),
            ("COPY --chown='a b c", "Dockerfile line 1: a quote ' in a flag is not closed"),
            ("CMD", "1: CMD []"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(show(text), expected, "{text:?}");
        }
    }

    #[test]
    fn there_is_a_limit() {
        let limits = Limits { instructions_max: 2, ..Limits::default() };
        assert!(parse("A\nB", &limits).is_ok());
        assert!(parse("A\nB\nC", &limits).is_err());
    }
}
