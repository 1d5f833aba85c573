//! As much of Terraform's language as it takes to find blocks, their labels and plain attributes, in both of its forms.
//!
//! Comments, strings with interpolations and heredocs are skipped as Terraform does; expressions are not understood. What cannot
//! be read ends early: `terraform` says what is wrong with it.

use serde_json::Value as Json;

/// What is nested deeper is not looked at.
const DEPTH_MAX: usize = 64;

/// Blocks and the attributes whose values are plain texts; objects count as blocks.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// Names and values.
    pub(super) texts: Vec<(String, String)>,
    /// Names of those with other values.
    others: Vec<String>,
    pub(super) blocks: Vec<Block>,
}

#[derive(Debug)]
pub(super) struct Block {
    pub(super) kind: String,
    pub(super) labels: Vec<String>,
    pub(super) body: Body,
}

impl Body {
    pub(super) fn parse(text: &str) -> Self {
        let tokens = tokens(text);
        let mut reader = Reader { tokens: &tokens, at: 0 };
        reader.body(0)
    }

    /// The names of everything that it sets.
    pub(super) fn names(&self) -> Vec<String> {
        let blocks = self.blocks.iter().map(|block| &block.kind);
        let mut names: Vec<String> =
            self.texts.iter().map(|(name, _)| name).chain(&self.others).chain(blocks).cloned().collect();
        names.sort();
        names.dedup();
        names
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    OpenList,
    CloseList,
    Equals,
    NewLine,
    Other,
}

struct Reader<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Until the closing brace, which is consumed.
    fn body(&mut self, depth: usize) -> Body {
        let mut body = Body::default();
        while let Some(token) = self.peek() {
            let name = match token {
                Token::Close => {
                    self.at += 1;
                    return body;
                }
                Token::Word(name) | Token::Text(name) => name.clone(),
                _ => {
                    self.at += 1;
                    continue;
                }
            };
            self.at += 1;
            if depth >= DEPTH_MAX {
                continue;
            }
            self.item(name, &mut body, depth);
        }
        body
    }

    fn item(&mut self, name: String, body: &mut Body, depth: usize) {
        if self.peek() == Some(&Token::Equals) {
            self.at += 1;
            match (self.peek(), self.tokens.get(self.at + 1)) {
                (Some(Token::Open), _) => {
                    self.at += 1;
                    let inner = self.body(depth + 1);
                    body.blocks.push(Block { kind: name, labels: Vec::new(), body: inner });
                }
                (Some(Token::Text(text)), None | Some(Token::NewLine | Token::Close | Token::Other)) => {
                    body.texts.push((name, text.clone()));
                    self.at += 1;
                }
                _ => {
                    body.others.push(name);
                    self.skip_expression();
                }
            }
            return;
        }
        let mut labels = Vec::new();
        while let Some(Token::Word(label) | Token::Text(label)) = self.peek() {
            labels.push(label.clone());
            self.at += 1;
        }
        if self.peek() == Some(&Token::Open) {
            self.at += 1;
            let inner = self.body(depth + 1);
            body.blocks.push(Block { kind: name, labels, body: inner });
        }
    }

    fn skip_expression(&mut self) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek() {
            match token {
                Token::Open | Token::OpenList => depth += 1,
                Token::Close | Token::CloseList if depth == 0 => return,
                Token::Close | Token::CloseList => depth -= 1,
                Token::NewLine if depth == 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    let line_end = |from: usize| {
        bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| from + end)
    };
    while at < bytes.len() {
        let rest = &bytes[at..];
        match rest[0] {
            b'\n' => tokens.push(Token::NewLine),
            b'#' => {
                at = line_end(at);
                continue;
            }
            b'/' if rest.starts_with(b"//") => {
                at = line_end(at);
                continue;
            }
            b'/' if rest.starts_with(b"/*") => {
                let end = rest[2..].windows(2).position(|pair| pair == b"*/");
                at = end.map_or(bytes.len(), |end| at + end + 4);
                continue;
            }
            b'<' if rest.starts_with(b"<<") => {
                let from = at + 2 + usize::from(rest.get(2) == Some(&b'-'));
                let mut end = line_end(from);
                let marker = text.get(from..end).unwrap_or_default().trim().to_owned();
                if marker.is_empty()
                    || !marker
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
                {
                    tokens.push(Token::Other);
                    at += 2;
                    continue;
                }
                while end < bytes.len() {
                    let next = line_end(end + 1);
                    let line = text.get(end + 1..next).unwrap_or_default();
                    end = next;
                    if line.trim() == marker {
                        break;
                    }
                }
                tokens.push(Token::Other);
                at = end;
                continue;
            }
            b'"' => {
                let end = string_end(bytes, at, 0);
                let content = text.get(at + 1..end.saturating_sub(1).max(at + 1)).unwrap_or_default();
                tokens.push(Token::Text(content.to_owned()));
                at = end;
                continue;
            }
            b'{' => tokens.push(Token::Open),
            b'}' => tokens.push(Token::Close),
            b'[' | b'(' => tokens.push(Token::OpenList),
            b']' | b')' => tokens.push(Token::CloseList),
            b'=' if rest.get(1) == Some(&b'=') || rest.get(1) == Some(&b'>') => {
                tokens.push(Token::Other);
                at += 2;
                continue;
            }
            b'=' | b':' => tokens.push(Token::Equals),
            byte if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => {
                let is_word =
                    |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte) || *byte >= 0x80;
                let length = rest.iter().position(|byte| !is_word(byte)).unwrap_or(rest.len());
                tokens.push(Token::Word(text.get(at..at + length).unwrap_or_default().to_owned()));
                at += length;
                continue;
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => tokens.push(Token::Other),
        }
        at += 1;
    }
    tokens
}

/// Behind the closing quote of the string that begins here, whatever is interpolated in it.
fn string_end(bytes: &[u8], start: usize, depth: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            b'$' | b'%'
                if bytes.get(at + 1) == Some(&b'{') && bytes[at - 1] != bytes[at] && depth < DEPTH_MAX =>
            {
                at = interpolation_end(bytes, at + 2, depth + 1);
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

fn interpolation_end(bytes: &[u8], start: usize, depth: usize) -> usize {
    let (mut at, mut open) = (start, 1_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at, depth);
                continue;
            }
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        at += 1;
        if open == 0 {
            return at;
        }
    }
    bytes.len()
}

/// The JSON form: labels are keys, and several blocks of one kind are a list.
pub(super) fn json_body(text: &str) -> Body {
    let mut body = Body::default();
    let Ok(Json::Object(root)) = serde_json::from_str(text) else { return body };
    for (kind, value) in root {
        let labels_wanted = match kind.as_str() {
            "terraform" => 0,
            "provider" | "resource" | "data" | "ephemeral" => 1,
            _ => continue,
        };
        for each in one_or_many(&value) {
            match (labels_wanted, each) {
                (0, value) => body.blocks.push(json_block(&kind, None, value)),
                (_, Json::Object(labelled)) => {
                    for (label, value) in labelled {
                        for value in one_or_many(value) {
                            body.blocks.push(json_block(&kind, Some(label), value));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    body
}

fn json_block(kind: &str, label: Option<&str>, value: &Json) -> Block {
    let mut body = Body::default();
    if let Json::Object(members) = value {
        for (name, member) in members {
            match member {
                Json::String(text) => body.texts.push((name.clone(), text.clone())),
                Json::Object(_) | Json::Array(_) => {
                    body.blocks.extend(one_or_many(member).iter().map(|each| json_block(name, None, each)));
                }
                _ => body.others.push(name.clone()),
            }
        }
    }
    Block { kind: kind.to_owned(), labels: label.map(str::to_owned).into_iter().collect(), body }
}

fn one_or_many(value: &Json) -> &[Json] {
    match value {
        Json::Array(values) => values,
        one => std::slice::from_ref(one),
    }
}
