//! Rust's names for the models' names.

/// `clusterArn`, `DNSName`, `LoadBalancerArns` -> `cluster_arn`, `dns_name`, `load_balancer_arns`.
pub(crate) fn snake(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 8);
    for (index, &character) in characters.iter().enumerate() {
        if !character.is_ascii_alphanumeric() {
            snake.push('_');
            continue;
        }
        if character.is_ascii_uppercase() && starts_word(&characters, index) && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    keyword(snake.trim_start_matches('_'))
}

/// An upper-case letter starts a word after a lower-case one or a digit, and at the end of a run of upper-case letters,
/// where a plural's `s` still belongs to the run (`ARNs`).
fn starts_word(characters: &[char], index: usize) -> bool {
    let Some(before) = index.checked_sub(1).map(|before| characters[before]) else { return false };
    if !before.is_ascii_uppercase() {
        return true;
    }
    let lower = |at: usize| characters.get(at).is_some_and(char::is_ascii_lowercase);
    let plural = characters.get(index + 1) == Some(&'s') && !lower(index + 2);
    lower(index + 1) && !plural
}

/// A type's name: the shape's, unless Rust or our prelude has that one.
pub(crate) fn type_name(shape: &str) -> String {
    const TAKEN: [&str; 16] = [
        "Option",
        "Vec",
        "String",
        "Box",
        "Result",
        "Value",
        "Default",
        "From",
        "BTreeMap",
        "Blob",
        "Timestamp",
        "ApiError",
        "CallContext",
        "Future",
        "Send",
        "Self",
    ];
    let mut name: String = shape.chars().filter(char::is_ascii_alphanumeric).collect();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if TAKEN.contains(&name.as_str()) {
        name.push_str("Shape");
    }
    name
}

/// The static that holds a shape's table.
pub(crate) fn static_name(shape: &str) -> String {
    keyword(&shape.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>())
}

fn keyword(name: &str) -> String {
    const KEYWORDS: [&str; 36] = [
        "as", "async", "await", "break", "const", "continue", "dyn", "else", "enum", "extern", "false", "fn",
        "for", "gen", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref",
        "return", "static", "struct", "trait", "true", "try", "type", "unsafe", "use", "where", "while",
    ];
    match name {
        "self" | "super" | "crate" => format!("{name}_"),
        name if KEYWORDS.contains(&name) => format!("r#{name}"),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_names_become_snake_case() {
        let cases = [
            ("clusterArn", "cluster_arn"),
            ("DNSName", "dns_name"),
            ("LoadBalancerArns", "load_balancer_arns"),
            ("ARNs", "arns"),
            ("VPCZoneIdentifier", "vpc_zone_identifier"),
            ("Ipv6CidrBlock", "ipv6_cidr_block"),
            ("EC2InstanceId", "ec2_instance_id"),
            ("SSLPolicy", "ssl_policy"),
            ("type", "r#type"),
            ("Type", "r#type"),
            ("Self", "self_"),
            ("x-amz-date", "x_amz_date"),
            ("DescribeSSLPolicies", "describe_ssl_policies"),
            ("enableECSManagedTags", "enable_ecs_managed_tags"),
        ];
        for (name, expected) in cases {
            assert_eq!(snake(name), expected);
        }
    }

    #[test]
    fn type_names_stay_clear_of_the_prelude() {
        assert_eq!(type_name("Option"), "OptionShape");
        assert_eq!(type_name("tag"), "Tag");
        assert_eq!(static_name("type"), "r#type");
    }
}
