//! Images that a template brings along: `Metadata: Gantry: Build:` names them and what they are built from.
//!
//! ```yaml
//! Metadata:
//!   Gantry:
//!     Build:
//!       shop/web:latest: ./web                # the build context
//!       shop/api:latest:
//!         Context: ./api
//!         Dockerfile: deploy/Dockerfile       # in the context
//!         Target: release
//!         Args: {VERSION: "1"}
//!         Prepare: make release               # runs first, in the template's folder, as the user who called sudo
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use gantry_images::{BuildOptions, Progress, Reference, Store};
use gantry_template::text_of;
use gantry_types::{ACCOUNT, Value};

use super::record::UpRecord;
use super::screen::{Screen, Tone, seconds};
use super::source::TemplateSource;
use crate::cli::Failure;
use crate::layout::Layout;

const IMAGES_MAX: usize = 64;
/// Files of a build context that are looked at to see whether it has changed.
const CONTEXT_FILES_MAX: usize = 100_000;
/// Of what a `Prepare` says, so much is shown when it fails.
const LAST_LINES: usize = 20;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Build {
    pub(crate) image: String,
    context: PathBuf,
    dockerfile: Option<PathBuf>,
    target: Option<String>,
    args: BTreeMap<String, String>,
    prepare: Option<String>,
}

/// What the template names; the error is a sentence.
pub(crate) fn builds(source: &TemplateSource, region: &str) -> Result<Vec<Build>, String> {
    let metadata = source.template.metadata.as_ref();
    let Some(build) = metadata.and_then(|all| all.get("Gantry")?.get("Build")) else { return Ok(Vec::new()) };
    let wrong = |what: &str| format!("Metadata: Gantry: Build: {what}");
    let images = build.as_map().ok_or_else(|| wrong("has to name images, each with its build context"))?;
    if images.len() > IMAGES_MAX {
        return Err(wrong(&format!("names {} images; the limit is {IMAGES_MAX}", images.len())));
    }
    images.iter().map(|(image, from)| one(source, region, image, from).map_err(|what| wrong(&what))).collect()
}

fn one(source: &TemplateSource, region: &str, image: &str, from: &Value) -> Result<Build, String> {
    let image = image.replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Region}", region);
    Reference::parse(&image).map_err(|error| error.to_string())?;
    let mut build = Build {
        image: image.clone(),
        context: source.folder.clone(),
        dockerfile: None,
        target: None,
        args: BTreeMap::new(),
        prepare: None,
    };
    if let Some(context) = from.as_str() {
        build.context = source.folder.join(context);
        return Ok(build);
    }
    let members = from.as_map().ok_or_else(|| format!("{image} has to have a build context"))?;
    for (name, value) in members {
        let text = || text_of(value).ok_or_else(|| format!("{image}: {name} has to be a text"));
        match name.as_str() {
            "Context" => build.context = source.folder.join(text()?.as_ref()),
            "Dockerfile" => build.dockerfile = Some(PathBuf::from(text()?.as_ref())),
            "Target" => build.target = Some(text()?.into_owned()),
            "Prepare" => build.prepare = Some(text()?.into_owned()),
            "Args" => {
                let args =
                    value.as_map().ok_or_else(|| format!("{image}: Args has to hold names and values"))?;
                for (arg, value) in args {
                    let value = text_of(value).ok_or_else(|| format!("{image}: {arg} has to be a text"))?;
                    build.args.insert(arg.clone(), value.into_owned());
                }
            }
            other => {
                return Err(format!(
                    "{image}: {other} is not known; Context, Dockerfile, Target, Args and Prepare are"
                ));
            }
        }
    }
    Ok(build)
}

/// Builds what is missing or was built from something else.
pub(crate) fn make(
    builds: &[Build],
    source: &TemplateSource,
    layout: &Layout,
    screen: &mut Screen,
) -> Result<(), Failure> {
    if builds.is_empty() {
        return Ok(());
    }
    let opening = |error: &dyn std::fmt::Display| {
        Failure::new("opening the store of images", error, "run it as the user who runs the server (sudo)")
    };
    crate::config::make_private_directory(&layout.images()).map_err(|error| opening(&error))?;
    let store = Store::open(layout.images()).map_err(|error| opening(&error))?;
    for build in builds {
        let begun = Instant::now();
        let attempted = || format!("building {}", build.image);
        if let Some(command) = &build.prepare {
            screen.status(&format!("{}: {command}", build.image));
            prepare(command, &source.folder).map_err(|cause| {
                Failure::new(attempted(), cause, format!("run `{command}` in {}", source.folder.display()))
            })?;
        }
        let fingerprint = fingerprint(build).map_err(|error| {
            Failure::new(attempted(), error, format!("see that {} is there", build.context.display()))
        })?;
        let known = UpRecord::read(layout).map_err(|error| opening(&error))?.builds;
        let is_here = matches!(store.resolve(&build.image), Ok(Some(_)));
        if is_here && known.get(&build.image) == Some(&fingerprint) {
            screen.step("image", &format!("{} is up to date", build.image));
            continue;
        }
        let options = BuildOptions {
            dockerfile: build.dockerfile.clone(),
            tags: vec![build.image.clone()],
            build_args: build.args.clone(),
            target: build.target.clone(),
            source_date_epoch: None,
            builder_path: None,
        };
        let shown = std::sync::Mutex::new(&mut *screen);
        let show = |progress: Progress<'_>| {
            let mut screen = shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match progress {
                Progress::Step { number, total, instruction } => {
                    screen.status(&format!("{}: step {number}/{total}: {instruction}", build.image));
                }
                Progress::Line(line) => screen.line(Tone::Quiet, line),
                _ => {}
            }
        };
        let built = store.build(&build.context, &options, &show).map_err(|error| {
            Failure::new(attempted(), error, "see `gantry image build --help` for what a Dockerfile may hold")
        })?;
        for warning in &built.warnings {
            screen.line(Tone::Plain, &format!("warning: {warning}"));
        }
        let kept = UpRecord::change(layout, |record| {
            record.builds.insert(build.image.clone(), fingerprint);
        });
        kept.map_err(|error| opening(&error))?;
        screen.step("image", &format!("{} built in {}", build.image, seconds(begun.elapsed())));
    }
    Ok(())
}

/// Runs a shell line; its output is shown when it fails. With sudo it runs as the user who called it: their tools are theirs.
fn prepare(command: &str, folder: &Path) -> Result<(), String> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("exec 2>&1\n{command}")).current_dir(folder);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some((user, group)) = crate::profile::sudo_user() {
        shell.uid(user).gid(group);
        let entry = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(user)).ok().flatten();
        if let Some(entry) = entry {
            shell.env("HOME", &entry.dir).env("USER", &entry.name).env("LOGNAME", &entry.name);
        }
    }
    let mut child = shell.spawn().map_err(|error| format!("starting `{command}`: {error}"))?;
    let mut last = std::collections::VecDeque::new();
    if let Some(output) = child.stdout.take() {
        // A line without end is cut, not kept.
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while matches!(output.by_ref().take(64 << 10).read_until(b'\n', &mut line), Ok(read) if read > 0) {
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    }
    let status = child.wait().map_err(|error| format!("waiting for `{command}`: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => {
            let said: Vec<String> = last.into();
            Err(format!("`{command}` ended with {status}; its last lines:\n{}", said.join("\n")))
        }
    }
}

/// Changes with whatever the image is made of: names, sizes, modes and times of the context's files, and the options.
fn fingerprint(build: &Build) -> std::io::Result<String> {
    let mut text = format!("{:?}\n", (&build.dockerfile, &build.target, &build.args));
    let mut folders = vec![build.context.clone()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            files += 1;
            if files > CONTEXT_FILES_MAX {
                return Err(std::io::Error::other(format!(
                    "the build context has more than {CONTEXT_FILES_MAX} files"
                )));
            }
            let (path, found) = (entry.path(), entry.metadata()?);
            let (seconds, nanos) = (found.mtime(), found.mtime_nsec());
            let _ = writeln!(
                text,
                "{} {:o} {} {seconds}.{nanos:09}",
                path.display(),
                found.mode(),
                if found.is_dir() { 0 } else { found.len() }
            );
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(gantry_images::Digest::of(text.as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    fn source(folder: &Path, build: &str) -> Box<TemplateSource> {
        let text = format!(
            "Metadata: {{Gantry: {{Build: {build}}}}}\nResources: {{Cluster: {{Type: 'AWS::ECS::Cluster'}}}}"
        );
        let path = folder.join("template.yaml");
        fs::write(&path, text).unwrap();
        match Source::find(&path).unwrap() {
            Source::Template(source) => source,
            Source::Terraform(_) => panic!("a template was written"),
        }
    }

    #[test]
    fn builds_are_read_and_mistakes_named() {
        let folder = tempfile::tempdir().unwrap();
        let read = |build: &str| builds(&source(folder.path(), build), "eu-west-1");
        let found = read(
            "{'a:1': ./web, '${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/b': {Context: api, Args: {V: 2}}}",
        );
        let found = found.unwrap();
        let named: Vec<&str> = found.iter().map(|build| build.image.as_str()).collect();
        assert_eq!(named, ["123456789012.dkr.ecr.eu-west-1.amazonaws.com/b", "a:1"]);
        assert_eq!(found[0].args["V"], "2");
        assert!(found[1].context.ends_with("web"));
        for (bad, word) in [
            ("[]", "name images"),
            ("{'A B': x}", "A B"),
            ("{'a:1': {Dockerfil: x}}", "Dockerfil"),
            ("{'a:1': {Args: x}}", "Args"),
            ("{'a:1': 7}", "build context"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(word), "{bad}: {error}");
        }
    }

    #[test]
    fn a_fingerprint_changes_with_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path(), "{'a:1': .}");
        let build = &builds(&source, "us-east-1").unwrap()[0];
        let first = fingerprint(build).unwrap();
        assert_eq!(first, fingerprint(build).unwrap());
        fs::write(folder.path().join("new"), "x").unwrap();
        assert_ne!(first, fingerprint(build).unwrap());
    }

    #[test]
    fn what_fails_before_a_build_is_shown() {
        let error = prepare("echo one; echo two >&2; exit 3", Path::new("/")).unwrap_err();
        assert!(error.contains("one\ntwo") && error.contains('3'), "{error}");
        prepare("true", Path::new("/")).unwrap();
    }
}
