//! Proxies from the environment, read as other tools read it: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.

use std::env;
use std::net::IpAddr;

use super::registries::is_loopback;

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    https: Option<String>,
    http: Option<String>,
    exceptions: Vec<String>,
}

impl Proxies {
    pub(super) fn from_environment() -> Self {
        Self::read(|name| env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        // As with curl, the lower-case form comes first.
        let either = |name: &str| {
            let value = variable(&name.to_ascii_lowercase()).or_else(|| variable(name));
            value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let all = either("ALL_PROXY");
        let exceptions = either("NO_PROXY").unwrap_or_default();
        Self {
            https: either("HTTPS_PROXY").or_else(|| all.clone()),
            http: either("HTTP_PROXY").or(all),
            exceptions: exceptions
                .split([',', ' '])
                .map(|each| each.trim().to_ascii_lowercase())
                .filter(|each| !each.is_empty())
                .collect(),
        }
    }

    /// The proxy on the way to a host. This machine is reached without one.
    pub(super) fn of(&self, scheme: &str, authority: &str) -> Option<&str> {
        let proxy = if scheme == "https" { &self.https } else { &self.http };
        let proxy = proxy.as_deref()?;
        let authority = authority.to_ascii_lowercase();
        let is_excepted = self.exceptions.iter().any(|exception| matches(exception, &authority));
        (!is_loopback(&authority) && !is_excepted).then_some(proxy)
    }
}

/// `*`, a host with or without port, a domain with or without a dot or `*.` in front, an address, a range.
fn matches(exception: &str, authority: &str) -> bool {
    if exception == "*" || exception == authority {
        return true;
    }
    let host = host_of(authority);
    if let (Some((network, bits)), Ok(address)) = (exception.split_once('/'), host.parse::<IpAddr>()) {
        return in_range(address, network, bits);
    }
    let domain = exception.strip_prefix('*').unwrap_or(exception);
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn in_range(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(address) & mask == u32::from(network) & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            u128::from(address) & mask == u128::from(network) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::read(|name| {
            variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let both =
            proxies(&[("HTTPS_PROXY", "http://s"), ("http_proxy", "http://h"), ("HTTP_PROXY", "http://x")]);
        assert_eq!(both.of("https", "a.example"), Some("http://s"));
        assert_eq!(both.of("http", "a.example"), Some("http://h"));
        let all = proxies(&[("ALL_PROXY", "http://a"), ("HTTPS_PROXY", " ")]);
        assert_eq!(all.of("https", "a.example:5000"), Some("http://a"));
        assert_eq!(all.of("http", "127.0.0.1:5000"), None, "this machine needs none");
        assert_eq!(proxies(&[]).of("https", "a.example"), None);
    }

    #[test]
    fn exceptions_are_hosts_domains_addresses_and_ranges() {
        for (exceptions, authority, expected) in [
            ("*", "a.example", true),
            ("a.example", "a.example", true),
            ("a.example", "a.example:5000", true),
            ("a.example:5000", "a.example:5000", true),
            ("a.example:5001", "a.example:5000", false),
            ("example", "a.example", true),
            (".example", "a.example", true),
            ("*.example", "A.Example", true),
            ("ample", "a.example", false),
            ("b, a.example", "a.example", true),
            ("10.0.0.0/8", "10.1.2.3:5000", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("fd00::/8", "[fd12::1]:5000", true),
            ("10.0.0.0/99", "10.1.2.3", false),
            ("", "a.example", false),
        ] {
            let proxies = proxies(&[("HTTPS_PROXY", "http://p"), ("NO_PROXY", exceptions)]);
            assert_eq!(proxies.of("https", authority).is_none(), expected, "{exceptions:?} {authority}");
        }
    }
}
