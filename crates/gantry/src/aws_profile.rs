//! A profile for AWS's tools in `~/.aws/config` and `~/.aws/credentials`: a section of ours in files that are the user's.
//! Every other line stays as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::write_private;
use crate::profile::Profile;

/// Written by people: what is larger is no such file.
const FILE_BYTES_MAX: u64 = 4 << 20;
const NAME_BYTES_MAX: usize = 64;

#[derive(Debug, Error)]
pub(crate) enum AwsProfileError {
    #[error("'{0}' is no name for a profile; letters, digits, '-', '_' and '.' make one")]
    Name(String),
    #[error("{path} has a profile '{name}' that leads to AWS")]
    Taken { path: PathBuf, name: String },
    #[error("{action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{0} is no text, or has more than {FILE_BYTES_MAX} bytes")]
    NoText(PathBuf),
}

/// What the hidden command reads on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) profile: Profile,
    /// Where the user's tools look, if not in their home.
    pub(crate) config: Option<PathBuf>,
    pub(crate) credentials: Option<PathBuf>,
}

pub(crate) fn checked_name(name: &str) -> Result<String, AwsProfileError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain) {
        true => Ok(name.to_owned()),
        false => Err(AwsProfileError::Name(name.to_owned())),
    }
}

/// Writes both files; gives their paths.
pub(crate) fn write(home: &Path, wanted: &Wanted) -> Result<[PathBuf; 2], AwsProfileError> {
    let name = checked_name(&wanted.name)?;
    let aws = home.join(".aws");
    let place = |named: &Option<PathBuf>, file: &str| named.clone().unwrap_or_else(|| aws.join(file));
    let config = File::read(&place(&wanted.config, "config"))?;
    let credentials = File::read(&place(&wanted.credentials, "credentials"))?;
    let config_header = if name == "default" { name.clone() } else { format!("profile {name}") };
    // A profile with an endpoint was written for a server like this one. Keys of an account are not written over.
    let is_ours = config.has(&config_header, "endpoint_url");
    let taken = [(&config, &config_header), (&credentials, &name)]
        .into_iter()
        .find(|(file, header)| !is_ours && file.section(header).is_some());
    if let Some((file, _)) = taken {
        return Err(AwsProfileError::Taken { path: file.path.clone(), name });
    }
    let profile = &wanted.profile;
    // The keys first: a profile that can be seen works.
    let keys = [
        ("aws_access_key_id", profile.credentials.access_key_id.as_str()),
        ("aws_secret_access_key", profile.credentials.secret_access_key.as_str()),
    ];
    credentials.with(&name, &keys).write()?;
    let places = [("region", profile.region.as_str()), ("endpoint_url", profile.endpoint.as_str())];
    config.with(&config_header, &places).write()?;
    Ok([config.path, credentials.path])
}

/// One of the two files, as it is.
#[derive(Debug)]
struct File {
    path: PathBuf,
    text: String,
}

impl File {
    fn read(path: &Path) -> Result<Self, AwsProfileError> {
        let failed = |source| AwsProfileError::File { action: "reading", path: path.to_owned(), source };
        // Many people keep these files elsewhere, behind a link.
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path: path.to_owned(), text: String::new() });
            }
            Err(error) => return Err(failed(error)),
        };
        if fs::metadata(&real).map_err(failed)?.len() > FILE_BYTES_MAX {
            return Err(AwsProfileError::NoText(real));
        }
        let text = String::from_utf8(fs::read(&real).map_err(failed)?);
        let text = text.map_err(|_| AwsProfileError::NoText(real.clone()))?;
        Ok(Self { path: real, text })
    }

    fn write(&self) -> Result<(), AwsProfileError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let failed = |source| AwsProfileError::File { action: "writing", path: self.path.clone(), source };
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        write_private(&self.path, self.text.as_bytes()).map_err(failed)
    }

    /// The lines of a section, without its header.
    fn section(&self, wanted: &str) -> Option<std::ops::Range<usize>> {
        let lines: Vec<&str> = self.text.lines().collect();
        let start = lines.iter().position(|line| header(line).as_deref() == Some(wanted))? + 1;
        let length =
            lines[start..].iter().position(|line| header(line).is_some()).unwrap_or(lines.len() - start);
        Some(start..start + length)
    }

    fn has(&self, section: &str, key: &str) -> bool {
        let mut lines = self
            .section(section)
            .into_iter()
            .flat_map(|range| self.text.lines().take(range.end).skip(range.start));
        lines.any(|line| key_of(line) == Some(key))
    }

    /// The same file with these settings in a section; other lines are kept, also inside of it.
    fn with(&self, section: &str, settings: &[(&str, &str)]) -> Self {
        let mut lines: Vec<String> = self.text.split_inclusive('\n').map(str::to_owned).collect();
        let end = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push_str(end);
        }
        let written = |(key, value): &(&str, &str)| format!("{key} = {value}{end}");
        match self.section(section) {
            None => {
                if !lines.is_empty() {
                    lines.push(end.to_owned());
                }
                lines.push(format!("[{section}]{end}"));
                lines.extend(settings.iter().map(written));
            }
            Some(range) => {
                let mut missing = Vec::new();
                for setting in settings {
                    // Of two lines with one key, AWS's tools take the last.
                    let found = range.clone().rfind(|index| key_of(&lines[*index]) == Some(setting.0));
                    match found {
                        Some(index) => lines[index] = written(setting),
                        None => missing.push(written(setting)),
                    }
                }
                lines.splice(range.start..range.start, missing);
            }
        }
        Self { path: self.path.clone(), text: lines.concat() }
    }
}

/// `[profile  "name"]` as `profile name`.
fn header(line: &str) -> Option<String> {
    let (inner, _) = line.trim().strip_prefix('[')?.split_once(']')?;
    let words: Vec<&str> = inner.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    Some(words.join(" "))
}

/// The key of a line; what is indented belongs to the line above.
fn key_of(line: &str) -> Option<&str> {
    if line.starts_with([' ', '\t', '#', ';']) {
        return None;
    }
    line.split_once('=').map(|(key, _)| key.trim())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::credentials::Credentials;

    fn wanted(name: &str, endpoint: &str) -> Wanted {
        let credentials = Credentials {
            access_key_id: "AKIAAAAAAAAAAAAAAAAA".to_owned(),
            secret_access_key: "s/+".to_owned(),
        };
        let profile = Profile { endpoint: endpoint.to_owned(), region: "us-east-1".to_owned(), credentials };
        Wanted { name: name.to_owned(), profile, config: None, credentials: None }
    }

    fn edited(before: &str, settings: &[(&str, &str)]) -> String {
        File { path: PathBuf::new(), text: before.to_owned() }.with("profile gantry", settings).text
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        let settings = [("region", "r"), ("endpoint_url", "e")];
        let ours = "[profile gantry]\nregion = r\nendpoint_url = e\n";
        assert_eq!(edited("", &settings), ours);
        assert_eq!(
            edited("# mine\n[default]\nregion=x", &settings),
            format!("# mine\n[default]\nregion=x\n\n{ours}")
        );
        assert_eq!(edited(ours, &settings), ours);
        assert_eq!(
            edited(
                "[ profile  \"gantry\" ] # c\nregion=old\n# note\nendpoint_url = old\ns3 =\n  region = kept\n[b]\nregion=y\n",
                &settings
            ),
            "[ profile  \"gantry\" ] # c\nregion = r\n# note\nendpoint_url = e\ns3 =\n  region = kept\n[b]\nregion=y\n"
        );
        assert_eq!(
            edited("[profile gantry]\noutput = json\n\n[b]\n", &settings),
            "[profile gantry]\nregion = r\nendpoint_url = e\noutput = json\n\n[b]\n"
        );
        assert_eq!(
            edited("[a]\r\nx=1\r\n", &[("k", "v")]),
            "[a]\r\nx=1\r\n\r\n[profile gantry]\r\nk = v\r\n"
        );
        assert_eq!(edited("[profile gantry]", &[("k", "v")]), "[profile gantry]\nk = v\n");
    }

    #[test]
    fn a_profile_is_written_again_privately_and_behind_a_link() {
        let home = tempfile::tempdir().unwrap();
        let kept = home.path().join("dotfiles");
        fs::create_dir(home.path().join(".aws")).unwrap();
        fs::write(&kept, "[default]\nregion = eu-west-1\n").unwrap();
        std::os::unix::fs::symlink(&kept, home.path().join(".aws/config")).unwrap();
        write(home.path(), &wanted("gantry", "http://127.0.0.1:1")).unwrap();
        let [config, credentials] = write(home.path(), &wanted("gantry", "http://127.0.0.1:2")).unwrap();
        assert_eq!(config, kept.canonicalize().unwrap());
        let text = fs::read_to_string(&kept).unwrap();
        let expected = "[default]\nregion = eu-west-1\n\n[profile gantry]\nregion = us-east-1\nendpoint_url = http://127.0.0.1:2\n";
        assert_eq!(text, expected);
        for path in [&config, &credentials] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }

    #[test]
    fn a_profile_of_an_account_is_not_written_over() {
        for (config, credentials, name) in [
            ("[default]\nregion = eu-west-1\n", "", "default"),
            ("", "[prod]\naws_access_key_id = AKIA\n", "prod"),
            ("[profile prod]\nsso_start_url = x\n", "", "prod"),
        ] {
            let home = tempfile::tempdir().unwrap();
            let aws = home.path().join(".aws");
            fs::create_dir(&aws).unwrap();
            fs::write(aws.join("config"), config).unwrap();
            fs::write(aws.join("credentials"), credentials).unwrap();
            let error = write(home.path(), &wanted(name, "http://e")).unwrap_err();
            assert!(matches!(error, AwsProfileError::Taken { .. }), "{error}");
            assert_eq!(fs::read_to_string(aws.join("config")).unwrap(), config);
            assert_eq!(fs::read_to_string(aws.join("credentials")).unwrap(), credentials);
        }
        for name in ["", "a b", "a]", "a\nb", &"x".repeat(65)] {
            assert!(checked_name(name).is_err(), "{name:?}");
        }
    }
}
