//! What a folder of Terraform files says about its providers and where its state is kept. Only as much of the language is
//! read as that takes: what cannot be read is left to `terraform`, which says so.

use std::path::Path;

use serde_json::Value as Json;

/// Terraform files are written by people; what is larger is no configuration.
const FILE_BYTES_MAX: u64 = 4 << 20;
const DEPTH_MAX: usize = 64;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) providers: Vec<ProviderBlock>,
    /// What the folder calls the AWS provider, mostly `aws`.
    pub(crate) local_names: Vec<String>,
    /// The folder itself asks for resources of the AWS provider.
    pub(crate) uses_aws: bool,
    /// The folder says where its state is kept (`backend` or `cloud`).
    pub(crate) has_backend: bool,
}

/// A `provider` block of the AWS provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProviderBlock {
    pub(crate) local_name: String,
    pub(crate) alias: Option<String>,
    /// The names of everything that the block sets.
    pub(crate) settings: Vec<String>,
}

impl Configuration {
    pub(crate) fn read(folder: &Path) -> std::io::Result<Self> {
        let mut bodies = Vec::new();
        let mut paths: Vec<_> = match std::fs::read_dir(folder) {
            Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.path()).collect(),
            // What was brought up is taken down also when its files are gone.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_json = name.ends_with(".tf.json");
            if !(is_json || name.ends_with(".tf") || name.ends_with(".tofu")) {
                continue;
            }
            if std::fs::metadata(&path)?.len() > FILE_BYTES_MAX {
                continue;
            }
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            bodies.push(if is_json { json_body(&text) } else { Body::parse(&text) });
        }
        Ok(Self::of(&bodies))
    }

    fn of(bodies: &[Body]) -> Self {
        let mut configuration = Self::default();
        let mut other_aws = false;
        let blocks = || bodies.iter().flat_map(|body| &body.blocks);
        for block in blocks().filter(|block| block.kind == "terraform") {
            configuration.has_backend |=
                block.body.blocks.iter().any(|inner| inner.kind == "backend" || inner.kind == "cloud");
            for required in block.body.blocks.iter().filter(|inner| inner.kind == "required_providers") {
                for named in &required.body.blocks {
                    let source = named.body.texts.iter().find(|(name, _)| name == "source");
                    let Some((_, source)) = source else { continue };
                    if source == "hashicorp/aws" || source.ends_with("/hashicorp/aws") {
                        configuration.local_names.push(named.kind.clone());
                        configuration.uses_aws = true;
                    } else if named.kind == "aws" {
                        other_aws = true;
                    }
                }
            }
        }
        let names = &mut configuration.local_names;
        if !other_aws && !names.iter().any(|name| name == "aws") {
            names.push("aws".to_owned());
        }
        for block in blocks() {
            let Some(label) = block.labels.first() else { continue };
            match block.kind.as_str() {
                "provider" if configuration.local_names.contains(label) => {
                    configuration.uses_aws = true;
                    let alias = block.body.texts.iter().find(|(name, _)| name == "alias");
                    configuration.providers.push(ProviderBlock {
                        local_name: label.clone(),
                        alias: alias.map(|(_, alias)| alias.clone()),
                        settings: block.body.names(),
                    });
                }
                "resource" | "data" | "ephemeral" => {
                    let prefix = label.split('_').next().unwrap_or_default();
                    configuration.uses_aws |= configuration.local_names.iter().any(|name| name == prefix);
                }
                _ => {}
            }
        }
        configuration
    }
}

/// Blocks and the attributes whose values are plain texts; objects count as blocks.
#[derive(Debug, Default)]
struct Body {
    texts: Vec<(String, String)>,
    others: Vec<String>,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    kind: String,
    labels: Vec<String>,
    body: Body,
}

impl Body {
    fn parse(text: &str) -> Self {
        let tokens = tokens(text);
        let mut reader = Reader { tokens: &tokens, at: 0 };
        reader.body(0)
    }

    fn names(&self) -> Vec<String> {
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
fn json_body(text: &str) -> Body {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Configuration {
        Configuration::of(&[Body::parse(text)])
    }

    fn block(alias: Option<&str>, settings: &[&str]) -> ProviderBlock {
        ProviderBlock {
            local_name: "aws".to_owned(),
            alias: alias.map(str::to_owned),
            settings: settings.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn provider_blocks_are_found_in_what_people_write() {
        let text = r#"
            # provider "aws" { alias = "comment" }
            /* provider "aws" { alias = "comment" } */ // and here: {
            terraform {
              required_version = ">= 1.0"
              required_providers {
                aws = { source = "hashicorp/aws", version = "~> 5.0" }
                tls = { source = "hashicorp/tls" }
              }
              backend "s3" { bucket = "state" }
            }
            provider "aws" {
              region  = var.region == "x" ? "a{" : "b"
              profile = "prod"
              default_tags { tags = { a = "b", "c" = 1 } }
            }
            provider "aws" {
              alias  = "west" # a word
              region = "us-west-2"
              assume_role {
                role_arn = "arn:aws:iam::${var.account}:role/${lookup({ a = "}" }, "a")}"
              }
            }
            provider "tls" {}
            resource "aws_instance" "web" {
              user_data = <<-EOT
                provider "aws" { alias = "heredoc" }
                EOT
              x = "$${not} \" {"
            }
        "#;
        let found = check(text);
        assert_eq!(
            found.providers,
            [
                block(None, &["default_tags", "profile", "region"]),
                block(Some("west"), &["alias", "assume_role", "region"])
            ]
        );
        assert_eq!((found.has_backend, found.uses_aws), (true, true));
        assert_eq!(found.local_names, ["aws"]);
    }

    #[test]
    fn other_names_other_providers_and_none() {
        let renamed = check(
            "terraform {\n required_providers {\n amazon = {\n source = \"registry.terraform.io/hashicorp/aws\"\n }\n aws = \
             { source = \"someone/aws\" }\n }\n cloud {\n }\n}\nprovider \"amazon\" {}\nprovider \"aws\" {}",
        );
        assert_eq!(renamed.local_names, ["amazon"]);
        assert_eq!(renamed.providers.len(), 1);
        assert!(renamed.has_backend);
        assert!(check("data \"aws_vpc\" \"default\" { default = true }").uses_aws);
        assert!(!check("resource \"awscc_x\" \"y\" {}\nmodule \"m\" { source = \"./m\" }").uses_aws);
    }

    #[test]
    fn the_json_form_says_the_same() {
        let text = r#"{
            "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws"}}, "backend": {"s3": {}}},
            "provider": {"aws": [{"region": "eu-west-1", "endpoints": {"s3": "x"}}, {"alias": "west", "max_retries": 1}]},
            "resource": {"aws_ecs_cluster": {"main": {"name": "x"}}}
        }"#;
        let found = Configuration::of(&[json_body(text)]);
        assert_eq!(
            found.providers,
            [block(None, &["endpoints", "region"]), block(Some("west"), &["alias", "max_retries"])]
        );
        assert!(found.has_backend && found.uses_aws);
    }

    #[test]
    fn what_cannot_be_read_is_left_to_terraform() {
        let deep = format!("{}{}", "a {".repeat(10_000), "}".repeat(10_000));
        let nested = format!("x = \"{}", "${\"".repeat(10_000));
        for text in [
            "provider \"aws",
            "provider \"aws\" {",
            "}}}}",
            "<<",
            "<<EOT",
            "\"",
            "\\",
            "= = =",
            "ü{",
            &deep,
            &nested,
        ] {
            check(text);
        }
        assert_eq!(Configuration::of(&[json_body("{")]).providers, []);
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[a\"{}$%<>/*#=\\\\\n E()\\[\\]é]{0,80}") {
            check(&text);
        }
    }
}
