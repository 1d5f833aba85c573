//! Findings for people and for machines.

use std::fmt::Write as _;

use serde_json::{Value, json as value};

use super::{Finding, Verdict};

/// A table; what to do stands below each finding that is not good.
pub fn table(findings: &[Finding], colour: bool) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut out = String::new();
    for finding in findings {
        let (mark, code) = match finding.verdict {
            Verdict::Good => ("ok     ", "\x1b[32m"),
            Verdict::Limited => ("limited", "\x1b[33m"),
            Verdict::Bad => ("FAILS  ", "\x1b[1;31m"),
        };
        let (code, reset) = if colour { (code, "\x1b[0m") } else { ("", "") };
        let _ = writeln!(out, "{code}{mark}{reset}  {:width$}  {}", finding.check, finding.found);
        if let Some(next) = &finding.next {
            let _ = writeln!(out, "{:9}{:width$}  -> {next}", "", "");
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let summary = match (count(Verdict::Bad), count(Verdict::Limited)) {
        (0, 0) => "all is well".to_owned(),
        (0, limited) => format!("it works; {limited} with restrictions"),
        (bad, _) => format!("{bad} of {} do not work", findings.len()),
    };
    let _ = writeln!(out, "\n{summary}");
    out
}

pub fn json(findings: &[Finding]) -> Value {
    value!({
        "works": findings.iter().all(|finding| finding.verdict < Verdict::Bad),
        "findings": findings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_to_do() {
        let findings = [
            Finding::good("kernel", "6.18"),
            Finding::limited("firewalls", "ufw", "open it"),
            Finding::bad("VPCs", "no veth", "load it"),
        ];
        let expected = "\
ok       kernel     6.18
limited  firewalls  ufw
                    -> open it
FAILS    VPCs       no veth
                    -> load it

1 of 3 do not work
";
        assert_eq!(table(&findings, false), expected);
        assert_eq!(json(&findings)["works"], false);
        assert_eq!(json(&findings[..2])["works"], true);
        assert!(table(&findings[..1], true).contains("\x1b[32mok"));
    }
}
