//! `gantry env`: the variables that make AWS's tools talk to this server.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{Failure, StateDirArgument};
use crate::aws_profile::{self, Wanted};
use crate::caller::Caller;
use crate::profile::{Profile, ProfileError};

/// Print the variables that point AWS's tools at this server.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  eval $(gantry env)\n  gantry env --shell fish | source\n  gantry env --shell json\n  gantry env --profile && aws --profile gantry ecs list-clusters"
)]
pub(crate) struct EnvArguments {
    #[command(flatten)]
    state_dir: StateDirArgument,
    /// How to write them
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    shell: Shell,
    /// Write a profile of this name into ~/.aws/config and ~/.aws/credentials instead [default: gantry]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "gantry", conflicts_with = "shell")]
    profile: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    /// sh, bash, zsh
    Sh,
    Fish,
    /// One JSON object
    Json,
}

/// Write a profile into a home directory (as its owner).
#[derive(Debug, clap::Args)]
pub(crate) struct WriteProfileArguments {
    #[arg(long)]
    home: PathBuf,
}

/// These would take precedence over, or spoil, what is set.
const UNSET: [&str; 4] = ["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"];

pub(crate) fn print(arguments: &EnvArguments) -> Result<ExitCode, Failure> {
    let profile = Profile::find(arguments.state_dir.state_dir.clone()).map_err(|error| {
        let next = match &error {
            ProfileError::None | ProfileError::Config(_) => {
                "start one with `sudo gantry server --detach`, or name its state directory with --state-dir"
            }
            _ => "start the server again with `gantry server`; it writes this anew",
        };
        Failure::new("finding the server's endpoint and access key", error, next)
    })?;
    match &arguments.profile {
        Some(name) => write_aws(name, profile)?,
        None => print!("{}", render(&profile, arguments.shell)),
    }
    Ok(ExitCode::SUCCESS)
}

/// With sudo the files of whoever called it are meant.
fn write_aws(name: &str, profile: Profile) -> Result<(), Failure> {
    let attempted = "writing the AWS profile";
    let name = aws_profile::checked_name(name)
        .map_err(|error| Failure::new(attempted, error, "choose another name: gantry env --profile NAME"))?;
    let is_own = crate::profile::sudo_user().is_none();
    // Root's variables name root's files.
    let named = |variable: &str| std::env::var_os(variable).filter(|_| is_own).map(PathBuf::from);
    let wanted = Wanted {
        name: name.clone(),
        profile,
        config: named("AWS_CONFIG_FILE"),
        credentials: named("AWS_SHARED_CREDENTIALS_FILE"),
    };
    let failed = |error: &dyn std::fmt::Display| {
        let next = "choose another name (gantry env --profile NAME), or correct those files";
        Failure::new(attempted, error, next)
    };
    let input = serde_json::to_vec(&wanted).map_err(|error| failed(&error))?;
    let caller = Caller::find().map_err(|error| failed(&error))?;
    let answer = caller.run_self(["write-aws-profile"], &input).map_err(|error| failed(&error))?;
    let [config, credentials]: [PathBuf; 2] =
        serde_json::from_slice(&answer).map_err(|error| failed(&error))?;
    println!("wrote the profile {name} to {} and {}", config.display(), credentials.display());
    println!("next: aws --profile {name} ecs list-clusters");
    Ok(())
}

fn render(profile: &Profile, shell: Shell) -> String {
    let set = [
        ("AWS_ENDPOINT_URL", profile.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", profile.credentials.access_key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", profile.credentials.secret_access_key.as_str()),
        ("AWS_REGION", profile.region.as_str()),
        // Version 1 of the CLI knows only this one.
        ("AWS_DEFAULT_REGION", profile.region.as_str()),
    ];
    // Each line ends in a semicolon: `eval $(...)` without quotes makes one line of all.
    match shell {
        Shell::Sh => {
            let lines =
                set.iter().map(|(name, value)| format!("export {name}={};\n", quoted(value, "'\\''")));
            lines.chain([format!("unset {};\n", UNSET.join(" "))]).collect()
        }
        Shell::Fish => {
            let lines = set.iter().map(|(name, value)| format!("set -gx {name} {};\n", quoted(value, "\\'")));
            lines.chain([format!("set -e {};\n", UNSET.join(" "))]).collect()
        }
        Shell::Json => {
            let object: serde_json::Map<String, serde_json::Value> =
                set.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
            format!("{}\n", serde_json::Value::Object(object))
        }
    }
}

fn quoted(value: &str, quote: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:+[]".contains(&byte);
    // `[` and `]` are patterns to a shell.
    if !value.is_empty() && value.bytes().all(|byte| is_plain(byte) && !b"[]".contains(&byte)) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', quote))
}

pub(crate) fn write_profile(arguments: &WriteProfileArguments) -> Result<ExitCode, Failure> {
    let attempted = "writing the profile";
    let next = "start the server again, or use `sudo gantry env`";
    let mut text = String::new();
    std::io::stdin()
        .take(64 << 10)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(attempted, error, next))?;
    let profile: Profile =
        serde_json::from_str(&text).map_err(|error| Failure::new(attempted, error, next))?;
    profile.write(&arguments.home).map_err(|error| Failure::new(attempted, error, next))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credentials;

    fn profile() -> Profile {
        Profile {
            endpoint: "http://[::1]:4566".to_owned(),
            region: "eu-central-1".to_owned(),
            credentials: Credentials {
                access_key_id: "AKIAAAAAAAAAAAAAAAAA".to_owned(),
                secret_access_key: "a/b+c".to_owned(),
            },
        }
    }

    #[test]
    fn what_is_printed_is_what_a_shell_reads_with_and_without_quotes() {
        let text = render(&profile(), Shell::Sh);
        for eval in ["eval $TEXT", "eval \"$TEXT\""] {
            let script = format!(
                "AWS_PROFILE=other; AWS_SESSION_TOKEN=old; {eval}; \
                 env | grep ^AWS_ | sort; echo \"[$AWS_PROFILE$AWS_SESSION_TOKEN]\""
            );
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .env("TEXT", &text)
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                "AWS_ACCESS_KEY_ID=AKIAAAAAAAAAAAAAAAAA\nAWS_DEFAULT_REGION=eu-central-1\n\
                 AWS_ENDPOINT_URL=http://[::1]:4566\nAWS_REGION=eu-central-1\nAWS_SECRET_ACCESS_KEY=a/b+c\n[]\n",
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }

    #[test]
    fn other_forms() {
        let fish = render(&profile(), Shell::Fish);
        assert!(fish.contains("set -gx AWS_ENDPOINT_URL 'http://[::1]:4566';\n"), "{fish}");
        let json: serde_json::Value = serde_json::from_str(&render(&profile(), Shell::Json)).unwrap();
        assert_eq!(json["AWS_SECRET_ACCESS_KEY"], "a/b+c");
        assert_eq!(quoted("it's", "'\\''"), "'it'\\''s'");
        assert_eq!(quoted("", "'\\''"), "''");
    }
}
