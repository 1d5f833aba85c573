//! STOPSIGNAL: a number, or a name with or without SIG.

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const NUMBER_MAX: u32 = 64;

/// Gives the signal back as it was written, if there is such a signal.
pub(super) fn check(text: &str) -> Result<String, String> {
    let known = match text.parse::<u32>() {
        Ok(number) => (1..=NUMBER_MAX).contains(&number),
        Err(_) => {
            let upper = text.to_ascii_uppercase();
            let name = upper.strip_prefix("SIG").unwrap_or(&upper);
            NAMES.contains(&name) || is_realtime(name)
        }
    };
    if known { Ok(text.to_owned()) } else { Err(format!("{text:?} is not a signal")) }
}

/// `RTMIN`, `RTMIN+n`, `RTMAX`, `RTMAX-n`.
fn is_realtime(name: &str) -> bool {
    let offset = |rest: &str, sign| match rest.strip_prefix(sign) {
        Some(number) => number.parse::<u32>().is_ok_and(|number| number <= 30),
        None => rest.is_empty(),
    };
    name.strip_prefix("RTMIN").is_some_and(|rest| offset(rest, '+'))
        || name.strip_prefix("RTMAX").is_some_and(|rest| offset(rest, '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_number_and_name() {
        for text in ["9", "64", "SIGTERM", "term", "sigquit", "SIGRTMIN+3", "SIGRTMAX-1", "RTMIN", "WINCH"] {
            assert_eq!(check(text).as_deref(), Ok(text));
        }
        for text in ["", "0", "65", "-1", "SIG", "SIGNO", "SIGRTMIN-3", "SIGRTMIN+99", "TERM "] {
            assert!(check(text).is_err(), "{text:?}");
        }
    }
}
