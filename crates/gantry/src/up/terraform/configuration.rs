//! What a folder of Terraform files says about its providers and where its state is kept. Only as much of the language is
//! read as that takes: what cannot be read is left to `terraform`, which says so.

use std::path::Path;

use super::language::{Body, json_body};

/// Terraform files are written by people; what is larger is no configuration.
const FILE_BYTES_MAX: u64 = 4 << 20;

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
