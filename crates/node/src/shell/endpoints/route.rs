//! What a path asks for.

/// Each version says a little more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    V2,
    V3,
    V4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    Shown,
    Hidden,
}

/// Which container is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    /// Version 2 knows the task by its address.
    Peer,
    /// By the id that stands in the container's environment.
    Container(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Task(Version, Whose, Tags),
    Container(Version, String),
    TaskStats(Version, Whose),
    ContainerStats(Version, String),
    /// By their own id.
    Credentials(String),
    /// What a task may say about itself; not served yet.
    TaskProtection,
}

/// Ids are far shorter.
const PATH_BYTES_MAX: usize = 512;

/// `None` where nothing is. Nothing in a path is decoded: no id needs it.
pub(super) fn parse(path: &str) -> Option<Wanted> {
    if path.len() > PATH_BYTES_MAX {
        return None;
    }
    let path = path.strip_prefix('/')?;
    let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        return None;
    }
    let id = |id: &str| id.to_owned();
    let container = |id: &str| Whose::Container(id.to_owned());
    Some(match segments[..] {
        ["v2", "metadata"] => Wanted::Task(Version::V2, Whose::Peer, Tags::Hidden),
        ["v2", "metadataWithTags"] => Wanted::Task(Version::V2, Whose::Peer, Tags::Shown),
        ["v2", "metadata", given] => Wanted::Container(Version::V2, id(given)),
        ["v2", "stats"] => Wanted::TaskStats(Version::V2, Whose::Peer),
        ["v2", "stats", given] => Wanted::ContainerStats(Version::V2, id(given)),
        ["v2", "credentials", given] => Wanted::Credentials(id(given)),
        ["api", _, "task-protection", "v1", "state"] => Wanted::TaskProtection,
        [version @ ("v3" | "v4"), given, ref rest @ ..] => {
            let version = if version == "v3" { Version::V3 } else { Version::V4 };
            match rest {
                [] => Wanted::Container(version, id(given)),
                ["task"] => Wanted::Task(version, container(given), Tags::Hidden),
                ["taskWithTags"] => Wanted::Task(version, container(given), Tags::Shown),
                ["stats"] => Wanted::ContainerStats(version, id(given)),
                ["task", "stats"] => Wanted::TaskStats(version, container(given)),
                _ => return None,
            }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_aws_is_known_and_no_other() {
        let container = || Whose::Container("a-1".to_owned());
        let cases = [
            ("/v2/metadata", Some(Wanted::Task(Version::V2, Whose::Peer, Tags::Hidden))),
            ("/v2/metadata/", Some(Wanted::Task(Version::V2, Whose::Peer, Tags::Hidden))),
            ("/v2/metadataWithTags", Some(Wanted::Task(Version::V2, Whose::Peer, Tags::Shown))),
            ("/v2/metadata/a-1", Some(Wanted::Container(Version::V2, "a-1".to_owned()))),
            ("/v2/stats", Some(Wanted::TaskStats(Version::V2, Whose::Peer))),
            ("/v2/stats/a-1", Some(Wanted::ContainerStats(Version::V2, "a-1".to_owned()))),
            ("/v2/credentials/u", Some(Wanted::Credentials("u".to_owned()))),
            ("/v3/a-1", Some(Wanted::Container(Version::V3, "a-1".to_owned()))),
            ("/v3/a-1/task", Some(Wanted::Task(Version::V3, container(), Tags::Hidden))),
            ("/v4/a-1", Some(Wanted::Container(Version::V4, "a-1".to_owned()))),
            ("/v4/a-1/stats", Some(Wanted::ContainerStats(Version::V4, "a-1".to_owned()))),
            ("/v4/a-1/task", Some(Wanted::Task(Version::V4, container(), Tags::Hidden))),
            ("/v4/a-1/taskWithTags", Some(Wanted::Task(Version::V4, container(), Tags::Shown))),
            ("/v4/a-1/task/stats", Some(Wanted::TaskStats(Version::V4, container()))),
            ("/api/a-1/task-protection/v1/state", Some(Wanted::TaskProtection)),
            ("/", None),
            ("", None),
            ("/v1/metadata", None),
            ("/v2", None),
            ("/v2/credentials", None),
            ("/v2/credentials/", None),
            ("/v2//credentials/u", None),
            ("/v2/credentials/u/x", None),
            ("/v4", None),
            ("/v4/", None),
            ("/v4/a-1/task/stats/x", None),
            ("v4/a-1", None),
        ];
        for (path, expected) in cases {
            assert_eq!(parse(path), expected, "{path}");
        }
        // What looks like a way out is an id that nobody has.
        assert_eq!(parse("/v4/.."), Some(Wanted::Container(Version::V4, "..".to_owned())));
        assert_eq!(parse("/v4/%2e%2e"), Some(Wanted::Container(Version::V4, "%2e%2e".to_owned())));
        assert_eq!(parse(&format!("/v4/{}", "a".repeat(PATH_BYTES_MAX))), None);
    }
}
