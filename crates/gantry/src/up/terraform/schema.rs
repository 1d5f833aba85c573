//! Which AWS provider was selected, and which services it knows by which names.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The oldest release of the AWS provider of which it is known that all of it goes where `AWS_ENDPOINT_URL` says. An older one
/// gets every endpoint by name.
pub(super) const READS_ENDPOINT_FROM: (u64, u64) = (5, 100);

/// Major and minor release of each AWS provider that was selected. None may be selected where one is used: a provider that is
/// being developed is in no lock file.
pub(super) fn aws_versions(text: &str) -> Vec<(u64, u64)> {
    #[derive(Deserialize)]
    struct Versions {
        provider_selections: BTreeMap<String, String>,
    }
    let Ok(versions) = serde_json::from_str::<Versions>(text) else { return Vec::new() };
    let aws = versions.provider_selections.iter().filter(|(name, _)| name.ends_with("/hashicorp/aws"));
    aws.map(|(_, version)| release(version)).collect()
}

/// Zero where it cannot be read: old is the safe guess.
fn release(version: &str) -> (u64, u64) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// The names in the `endpoints` block of the AWS provider, without those that mean the same service twice.
pub(super) fn endpoint_names(schema: &str) -> serde_json::Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Schemas {
        provider_schemas: BTreeMap<String, Schema>,
    }
    #[derive(Deserialize)]
    struct Schema {
        provider: Option<Provider>,
    }
    #[derive(Deserialize)]
    struct Provider {
        /// Providers without settings have none.
        #[serde(default)]
        block: Block,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Block {
        attributes: BTreeMap<String, Attribute>,
        block_types: BTreeMap<String, BlockType>,
    }
    #[derive(Deserialize)]
    struct Attribute {
        #[serde(default)]
        deprecated: bool,
    }
    #[derive(Deserialize)]
    struct BlockType {
        #[serde(default)]
        block: Block,
    }
    let schemas: Schemas = serde_json::from_str(schema)?;
    let aws = schemas.provider_schemas.into_iter().filter(|(name, _)| name.ends_with("/hashicorp/aws"));
    let provider = aws.filter_map(|(_, schema)| schema.provider).next();
    let endpoints = provider.and_then(|mut provider| provider.block.block_types.remove("endpoints"));
    let attributes = endpoints.map(|endpoints| endpoints.block.attributes).unwrap_or_default();
    let current = attributes.into_iter().filter(|(_, attribute)| !attribute.deprecated);
    Ok(current.map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_that_read_the_environment_are_told_from_those_that_do_not() {
        let text = |selections: &str| {
            format!("{{\"terraform_version\":\"1.11.4\",\"provider_selections\":{selections}}}")
        };
        for (selections, expected) in [
            ("{}", vec![]),
            ("{\"terraform.io/builtin/terraform\":\"\"}", vec![]),
            ("{\"registry.terraform.io/hashicorp/aws\":\"5.100.0\"}", vec![(5, 100)]),
            ("{\"registry.opentofu.org/hashicorp/aws\":\"6.2.0-beta1\"}", vec![(6, 2)]),
            ("{\"registry.terraform.io/hashicorp/aws\":\"x\"}", vec![(0, 0)]),
        ] {
            assert_eq!(aws_versions(&text(selections)), expected, "{selections}");
        }
        assert_eq!(aws_versions("no JSON"), vec![]);
        assert!((6, 2) >= READS_ENDPOINT_FROM && (3, 3) < READS_ENDPOINT_FROM);
    }

    #[test]
    fn endpoints_are_named_as_the_provider_names_them() {
        let schema = r#"{"format_version":"1.0","provider_schemas":{
            "terraform.io/builtin/terraform":{"provider":{"version":0},"functions":{}},
            "registry.terraform.io/hashicorp/tls":{"provider":{"block":{}}},
            "registry.terraform.io/hashicorp/aws":{"provider":{"version":0,"block":{
                "attributes":{"region":{"type":"string"}},
                "block_types":{"endpoints":{"nesting_mode":"set","block":{"attributes":{
                    "ecs":{"type":"string"},"elbv2":{"type":"string"},"es":{"type":"string","deprecated":true}}}}}}},
              "resource_schemas":{"aws_x":{}}}}}"#;
        assert_eq!(endpoint_names(schema).unwrap(), ["ecs", "elbv2"]);
        assert!(endpoint_names("{}").is_err(), "what cannot be read is not taken for none");
    }
}
