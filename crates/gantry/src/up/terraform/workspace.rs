//! Where `terraform` runs: a folder of links to the user's files, with one file more that points the providers at this server.
//!
//! Terraform merges files named `*_override.tf.json` into the others, but only from the folder itself, and the user's folder is
//! theirs. So a folder of our own holds a link to each of their files and ours beside them. The folders above are linked too,
//! so that `../modules/x` and `${path.module}/../x` mean what they mean there. State, data and lock file stay here: what a
//! folder's own state says about an AWS account is never read, changed or lost.
//!
//! All of this stands in the home of whoever called, and a process of theirs makes it.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::configuration::Configuration;
use crate::config::write_private;

/// So many folders above are linked; what is further up is not reached by `..`.
const FOLDERS_ABOVE_MAX: usize = 12;
/// Of each folder so many entries.
const ENTRIES_MAX: usize = 10_000;
/// Behind whatever override files the user has: the last one wins.
const OVERRIDE: &str = "zzz_gantry_override.tf.json";
const PLAN: &str = "plan";
const LOCK: &str = ".terraform.lock.hcl";
/// Never linked: they belong to another state.
const OWN: [&str; 3] = [".terraform", LOCK, ".terraform.tfstate.lock.info"];
/// Settings that lead to another account, and are taken out where a provider block has them.
const CLEARED: [&str; 14] = [
    "access_key",
    "allowed_account_ids",
    "forbidden_account_ids",
    "http_proxy",
    "https_proxy",
    "profile",
    "secret_key",
    "shared_config_files",
    "shared_credentials_file",
    "shared_credentials_files",
    "sts_region",
    "token",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
];

/// What a workspace is made for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) folder: PathBuf,
    /// Tells servers apart: what was made on one is not on another.
    pub(crate) server: String,
    pub(crate) endpoint: String,
    /// Names of services whose endpoint has to be written down, for providers that do not read it from the environment.
    pub(crate) endpoint_names: Vec<String>,
    /// Values for variables; without them those of the last time.
    pub(crate) variables: Option<Vec<(String, String)>>,
}

/// A workspace that is ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Workspace {
    /// Everything of it is in here.
    pub(crate) base: PathBuf,
    /// Where `terraform` runs.
    pub(crate) folder: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) plan: PathBuf,
    pub(crate) variables: Vec<(String, String)>,
    /// `terraform init` has run in it.
    pub(crate) is_initialised: bool,
    /// Something was made from it.
    pub(crate) has_resources: bool,
}

/// What the hidden command is asked for, on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Prepare(Order),
    /// A plan holds every value, secret ones too: it goes when it is done with.
    ForgetPlan {
        base: PathBuf,
    },
    Remove {
        base: PathBuf,
    },
}

/// Does what is asked for; gives what is to be written to standard output.
pub(crate) fn answer(home: &Path, request: &Request) -> io::Result<Vec<u8>> {
    match request {
        Request::Prepare(order) => Ok(serde_json::to_vec(&prepare(home, order)?)?),
        Request::ForgetPlan { base } if is_ours(home, base) => removed(std::fs::remove_file(base.join(PLAN))),
        Request::Remove { base } if is_ours(home, base) => removed(std::fs::remove_dir_all(base)),
        Request::ForgetPlan { .. } | Request::Remove { .. } => Ok(Vec::new()),
    }
}

/// Only what this module makes is removed by it.
fn is_ours(home: &Path, base: &Path) -> bool {
    base.parent() == Some(&all(home)) && base.components().all(|each| each != Component::ParentDir)
}

fn removed(outcome: io::Result<()>) -> io::Result<Vec<u8>> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(Vec::new()),
    }
}

fn all(home: &Path) -> PathBuf {
    home.join(".local/state/gantry/terraform")
}

fn base(home: &Path, order: &Order) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;

    use sha2::{Digest as _, Sha256};
    let mut digest = Sha256::new();
    digest.update(order.server.as_bytes());
    digest.update([0]);
    digest.update(order.folder.as_os_str().as_bytes());
    let short: String = digest.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    let name = order.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    let name: String = name.chars().map(plain).take(40).collect();
    all(home).join(format!("{name}-{short}"))
}

fn prepare(home: &Path, order: &Order) -> io::Result<Workspace> {
    let base = base(home, order);
    make_directory(&base)?;
    let root = base.join("files");
    let folder = mirror(&order.folder, &root)?;
    let lock = order.folder.join(LOCK);
    if let Ok(text) = std::fs::read(&lock) {
        // A copy: `terraform init` completes it.
        let seen = base.join("lock.hcl");
        if std::fs::read(&seen).ok().as_ref() != Some(&text) {
            std::fs::write(folder.join(LOCK), &text)?;
            std::fs::write(&seen, &text)?;
        }
    }
    let configuration = Configuration::read(&order.folder)?;
    let content = overrides(&configuration, &order.endpoint, &order.endpoint_names);
    write_private(&folder.join(OVERRIDE), &serde_json::to_vec_pretty(&content)?)?;
    let kept = base.join("variables.json");
    let variables = match &order.variables {
        Some(variables) => {
            write_private(&kept, &serde_json::to_vec_pretty(variables)?)?;
            variables.clone()
        }
        None => {
            std::fs::read(&kept).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
        }
    };
    let data = base.join("data");
    let is_initialised = data.exists();
    let has_resources = has_resources(&folder);
    Ok(Workspace { plan: base.join(PLAN), folder, data, variables, is_initialised, has_resources, base })
}

/// Whether the state tells of anything. A state that cannot be read does: `terraform` says what is wrong with it.
fn has_resources(folder: &Path) -> bool {
    let is_empty = |state: &Json| state["resources"].as_array().is_some_and(Vec::is_empty);
    let is_none = match std::fs::read(folder.join("terraform.tfstate")) {
        Ok(text) => serde_json::from_slice(&text).is_ok_and(|state| is_empty(&state)),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    // Terraform's own workspaces keep theirs here.
    !is_none || folder.join("terraform.tfstate.d").exists()
}

/// The user's folder under a root of our own: a link for each entry, and for each entry of the folders above.
fn mirror(folder: &Path, root: &Path) -> io::Result<PathBuf> {
    let names: Vec<&Path> = folder
        .components()
        .filter_map(|each| match each {
            Component::Normal(name) => Some(Path::new(name)),
            _ => None,
        })
        .collect();
    make_directory(root)?;
    let (mut theirs, mut ours) = (PathBuf::from("/"), root.to_owned());
    for (index, name) in names.iter().enumerate() {
        let above = names.len() - index;
        link_entries(&theirs, &ours, (above <= FOLDERS_ABOVE_MAX).then_some(*name), &[])?;
        theirs.push(name);
        ours.push(name);
        make_directory(&ours)?;
    }
    link_entries(&theirs, &ours, Some(Path::new("")), &OWN)?;
    Ok(ours)
}

/// Makes the links of `ours` those of `theirs`, but for the names that are left out. Without `except` none are made.
fn link_entries(theirs: &Path, ours: &Path, except: Option<&Path>, left_out: &[&str]) -> io::Result<()> {
    for entry in std::fs::read_dir(ours)?.filter_map(Result::ok) {
        if entry.file_type()?.is_symlink() {
            std::fs::remove_file(entry.path())?;
        }
    }
    let Some(except) = except else { return Ok(()) };
    let entries = match std::fs::read_dir(theirs) {
        Ok(entries) => entries,
        // What this user cannot list, their files do not refer to by listing; what is gone has no files.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for entry in entries.filter_map(Result::ok).take(ENTRIES_MAX) {
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let is_state = !left_out.is_empty() && (text.ends_with(".tfstate") || text.contains(".tfstate."));
        if Path::new(&name) == except || left_out.contains(&&*text) || is_state {
            continue;
        }
        let link = ours.join(&name);
        match symlink(entry.path(), &link) {
            // Written by an earlier run, and theirs now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && link.is_file() => {
                std::fs::remove_file(&link)?;
                symlink(entry.path(), &link)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    Ok(())
}

/// The file that Terraform merges into the user's.
fn overrides(configuration: &Configuration, endpoint: &str, endpoint_names: &[String]) -> Json {
    let mut root = Map::new();
    if configuration.has_backend {
        root.insert("terraform".to_owned(), json!({"backend": {"local": {}}}));
    }
    let mut providers = Map::new();
    for name in &configuration.local_names {
        let mut entries = Vec::new();
        let blocks = configuration.providers.iter().filter(|block| block.local_name == *name);
        let mut has_default = false;
        for block in blocks {
            has_default |= block.alias.is_none();
            let mut entry = provider(&block.settings, endpoint, endpoint_names);
            if let Some(alias) = &block.alias {
                entry.insert("alias".to_owned(), alias.as_str().into());
            }
            entries.push(Json::Object(entry));
        }
        if !has_default && (configuration.uses_aws || !endpoint_names.is_empty()) {
            entries.push(Json::Object(provider(&[], endpoint, endpoint_names)));
        }
        if !entries.is_empty() {
            providers.insert(name.clone(), Json::Array(entries));
        }
    }
    if !providers.is_empty() {
        root.insert("provider".to_owned(), Json::Object(providers));
    }
    Json::Object(root)
}

fn provider(settings: &[String], endpoint: &str, endpoint_names: &[String]) -> Map<String, Json> {
    let mut entry = Map::new();
    for name in CLEARED.iter().filter(|name| settings.iter().any(|set| set == *name)) {
        entry.insert((*name).to_owned(), Json::Null);
    }
    for skipped in ["skip_credentials_validation", "skip_metadata_api_check"] {
        entry.insert(skipped.to_owned(), true.into());
    }
    // A block replaces all of the same kind; an empty one leaves everything to the environment.
    if !endpoint_names.is_empty() || settings.iter().any(|set| set == "endpoints") {
        let endpoints: Map<String, Json> =
            endpoint_names.iter().map(|name| (name.clone(), endpoint.into())).collect();
        entry.insert("endpoints".to_owned(), Json::Array(vec![Json::Object(endpoints)]));
    }
    entry
}

fn make_directory(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        // Where another folder had a link, this one has a folder.
        Ok(found) if found.is_symlink() => std::fs::remove_file(path)?,
        _ => {}
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn order(folder: &Path) -> Order {
        Order {
            folder: folder.to_owned(),
            server: "A".to_owned(),
            endpoint: "http://127.0.0.1:4566".to_owned(),
            endpoint_names: Vec::new(),
            variables: None,
        }
    }

    #[test]
    fn a_workspace_mirrors_the_folder_and_leaves_it_alone() {
        let home = tempfile::tempdir().unwrap();
        let theirs = tempfile::tempdir().unwrap();
        let folder = theirs.path().canonicalize().unwrap().join("infra");
        for (path, text) in [
            (
                "infra/main.tf",
                "provider \"aws\" {\n profile = \"p\"\n}\nterraform {\n backend \"s3\" {}\n}\n",
            ),
            ("infra/terraform.tfstate", "AWS"),
            ("infra/terraform.tfstate.backup", "AWS"),
            ("infra/.terraform/x", ""),
            ("infra/.terraform.lock.hcl", "one"),
            ("modules/m/m.tf", ""),
        ] {
            let path = theirs.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let made = prepare(home.path(), &order(&folder)).unwrap();
        assert!(made.folder.ends_with(folder.strip_prefix("/").unwrap()), "{}", made.folder.display());
        let names = |path: &Path| {
            let mut names: Vec<String> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&made.folder), [LOCK, "main.tf", OVERRIDE]);
        assert!(made.folder.join("../modules/m/m.tf").is_file());
        assert!(!made.is_initialised && !made.has_resources);
        let text: Json = serde_json::from_slice(&fs::read(made.folder.join(OVERRIDE)).unwrap()).unwrap();
        assert_eq!(
            text,
            json!({"terraform": {"backend": {"local": {}}}, "provider": {"aws": [{"profile": null,
                "skip_credentials_validation": true, "skip_metadata_api_check": true}]}})
        );

        // State and lock file of the last run stay; links follow the user's files; a written file becomes theirs.
        fs::write(made.folder.join("terraform.tfstate"), "OURS").unwrap();
        fs::write(made.folder.join(LOCK), "one, completed").unwrap();
        fs::write(made.folder.join("made.txt"), "by terraform").unwrap();
        fs::write(made.folder.join("kept.txt"), "by terraform").unwrap();
        fs::remove_file(folder.join("main.tf")).unwrap();
        fs::write(folder.join("other.tf"), "").unwrap();
        fs::write(folder.join("made.txt"), "by hand").unwrap();
        let again = prepare(home.path(), &order(&folder)).unwrap();
        assert_eq!(again.folder, made.folder);
        assert!(again.has_resources, "what cannot be read is no reason to forget it");
        assert_eq!(
            names(&made.folder),
            [LOCK, "kept.txt", "made.txt", "other.tf", "terraform.tfstate", OVERRIDE]
        );
        assert_eq!(fs::read_to_string(made.folder.join(LOCK)).unwrap(), "one, completed");
        assert_eq!(fs::read_to_string(made.folder.join("made.txt")).unwrap(), "by hand");
        assert_eq!(fs::read_to_string(folder.join("terraform.tfstate")).unwrap(), "AWS");
        fs::write(folder.join(LOCK), "two").unwrap();
        prepare(home.path(), &order(&folder)).unwrap();
        assert_eq!(fs::read_to_string(made.folder.join(LOCK)).unwrap(), "two");

        // A server of another state directory has a state of its own.
        let other = Order { server: "B".to_owned(), ..order(&folder) };
        assert_ne!(prepare(home.path(), &other).unwrap().base, made.base);

        // Removing follows no link, and removes nothing else.
        let sibling = Request::Remove { base: folder.clone() };
        answer(home.path(), &sibling).unwrap();
        answer(home.path(), &Request::Remove { base: made.base.clone() }).unwrap();
        assert!(!made.base.exists() && folder.join("other.tf").exists());
        assert!(theirs.path().join("modules/m/m.tf").exists());
    }

    #[test]
    fn variables_are_kept_for_the_way_down_even_without_the_files() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("gone");
        let given = vec![("a".to_owned(), "b".to_owned())];
        let first = Order { variables: Some(given.clone()), ..order(&folder) };
        assert_eq!(prepare(home.path(), &first).unwrap().variables, given);
        assert_eq!(prepare(home.path(), &order(&folder)).unwrap().variables, given);
    }

    #[test]
    fn providers_that_do_not_read_the_environment_get_every_endpoint() {
        let configuration = Configuration { local_names: vec!["aws".to_owned()], ..Configuration::default() };
        assert_eq!(
            overrides(&configuration, "http://e", &[]),
            json!({}),
            "nothing is forced on who does not use it"
        );
        let names = ["ecs".to_owned(), "s3".to_owned()];
        let text = overrides(&configuration, "http://e", &names);
        assert_eq!(text["provider"]["aws"][0]["endpoints"], json!([{"ecs": "http://e", "s3": "http://e"}]));
        let own = provider(&["endpoints".to_owned(), "token".to_owned()], "http://e", &[]);
        assert_eq!((own["endpoints"].clone(), own["token"].clone()), (json!([{}]), Json::Null));
    }
}
