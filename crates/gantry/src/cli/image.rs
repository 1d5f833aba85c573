//! `gantry image`: what AWS's tools leave to docker.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use gantry_images::{BuildOptions, Progress, PullSettings, Puller, Reference, Store};

use super::screen::{Screen, megabytes};
use super::{Failure, StateDirArgument};
use crate::config::ServerConfig;
use crate::layout::Layout;

/// Build, load, pull and list the images that tasks run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gantry image build . --tag web:1\n  docker save web:1 | gantry image load -\n  gantry image ls",
    arg_required_else_help = true,
    subcommand_required = true
)]
pub(crate) struct ImageArguments {
    #[command(flatten)]
    state_dir: StateDirArgument,
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    Build(BuildArguments),
    Load(LoadArguments),
    Pull(PullArguments),
    Save(SaveArguments),
    Ls(ListArguments),
    Rm(RemoveArguments),
    Tag(TagArguments),
    Prune(PruneArguments),
}

/// Build an image from a directory with a Dockerfile.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A Dockerfile without RUN is built here. One with RUN goes through buildah, podman or docker, if one is installed.

Example:
  gantry image build ./web --tag web:1 --build-arg VERSION=1")]
struct BuildArguments {
    /// The build context
    directory: PathBuf,
    /// The image's name; may be repeated
    #[arg(long = "tag", short, value_name = "NAME")]
    tags: Vec<String>,
    /// [default: Dockerfile in the context]
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    /// A value for an ARG; may be repeated
    #[arg(long = "build-arg", value_name = "NAME=VALUE", value_parser = build_argument)]
    build_args: Vec<(String, String)>,
    /// The stage to build, by name or number [default: the last]
    #[arg(long)]
    target: Option<String>,
}

/// Load the images of a docker or OCI archive, or of an OCI layout directory.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gantry image load web.tar\n  docker save web:1 | gantry image load - --name shop/web:1"
)]
struct LoadArguments {
    /// The archive; - reads it from standard input
    file: PathBuf,
    /// The name of the archive's only image, instead of those in the archive
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Pull an image from a registry, as a task that names it would.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is known of registries stands in registries.toml in the state directory:

  docker_config = \"/root/.docker/config.json\"  # credentials of `docker login`; helpers are not run
  [registry.\"docker.io\"]
  mirrors = [\"https://mirror.example.com\"]      # asked before the registry
  username = \"someone\"
  password_file = \"/etc/gantry/hub-token\"       # or password = \"...\"
  [registry.\"registry.example.com:5000\"]
  ca_file = \"/etc/gantry/our-ca.pem\"            # or skip_verification = true, or http = true

HTTPS_PROXY, HTTP_PROXY and NO_PROXY count too; for tasks, those of the server.

Example:
  gantry image pull nginx:1.29")]
struct PullArguments {
    name: String,
    /// Mirrors, credentials and certificates of registries [default: those of the server]
    #[arg(long, env = "GANTRY_REGISTRY_CONFIG", value_name = "FILE")]
    registry_config: Option<PathBuf>,
}

/// Write an image to an archive that docker, podman and buildah load.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gantry image save web:1 | docker load")]
struct SaveArguments {
    name: String,
    /// [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// List images.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gantry image ls --json")]
struct ListArguments {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Remove names of images; `prune` then removes what nothing needs any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gantry image rm web:1 && gantry image prune")]
struct RemoveArguments {
    #[arg(required = true)]
    names: Vec<String>,
}

/// Give an image a further name.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  gantry image tag web:1 123456789012.dkr.ecr.us-east-1.amazonaws.com/web:latest"
)]
struct TagArguments {
    /// The image, by name or digest
    image: String,
    name: String,
}

/// Remove the content that no name and no task needs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gantry image prune")]
struct PruneArguments {}

pub(crate) fn run(arguments: ImageArguments) -> Result<ExitCode, Failure> {
    let opening = |error: &dyn Display| {
        Failure::new(
            "opening the store of images",
            error,
            "name the server's state directory with --state-dir; root's is opened by root (sudo)",
        )
    };
    let state_dir =
        crate::config::state_dir(arguments.state_dir.state_dir).map_err(|error| opening(&error))?;
    crate::config::make_private_directory(&state_dir).map_err(|error| opening(&error))?;
    let layout = Layout::new(state_dir);
    let images = layout.images();
    crate::config::make_private_directory(&images).map_err(|error| opening(&error))?;
    let store = Store::open(images).map_err(|error| opening(&error))?;
    match arguments.command {
        ImageCommand::Build(arguments) => build(&store, arguments),
        ImageCommand::Load(arguments) => load(&store, &arguments),
        ImageCommand::Pull(arguments) => pull(store, &layout, arguments),
        ImageCommand::Save(arguments) => save(&store, &arguments),
        ImageCommand::Ls(arguments) => list(&store, &arguments),
        ImageCommand::Rm(arguments) => remove(&store, &arguments),
        ImageCommand::Tag(arguments) => tag(&store, &arguments),
        ImageCommand::Prune(PruneArguments {}) => prune(&store),
    }
}

fn build(store: &Store, arguments: BuildArguments) -> Result<ExitCode, Failure> {
    let attempted = format!("building {}", arguments.directory.display());
    let options = BuildOptions {
        dockerfile: arguments.file,
        tags: arguments.tags,
        build_args: arguments.build_args.into_iter().collect::<BTreeMap<_, _>>(),
        target: arguments.target,
        source_date_epoch: source_date_epoch(),
        builder_path: None,
    };
    let screen = Screen::new();
    let built = store.build(&arguments.directory, &options, &|progress| screen.show(progress));
    screen.finish();
    let built = built.map_err(|error| {
        let next = match error.is_disk_full() {
            true => "make room: `gantry image prune` removes what nothing needs",
            false => "see `gantry image build --help`",
        };
        Failure::new(attempted, error, next)
    })?;
    for warning in &built.warnings {
        eprintln!("warning: {warning}");
    }
    if let Some(builder) = built.builder {
        eprintln!("built by {builder}");
    }
    named(&built.references, &built.digest);
    Ok(ExitCode::SUCCESS)
}

/// What build tools agree on to make an image the same every time.
fn source_date_epoch() -> Option<i64> {
    std::env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok()
}

fn load(store: &Store, arguments: &LoadArguments) -> Result<ExitCode, Failure> {
    let screen = Screen::new();
    let show = |progress: Progress<'_>| screen.show(progress);
    let name = arguments.name.as_deref();
    let loaded = if arguments.file.as_os_str() == "-" {
        store.load(std::io::stdin(), name, &show)
    } else {
        store.load_path(&arguments.file, name, &show)
    };
    screen.finish();
    let loaded = loaded.map_err(|error| {
        let next = match error.is_disk_full() {
            true => "make room: `gantry image prune` removes what nothing needs",
            false => "make the archive with `docker save IMAGE` or `buildah push IMAGE oci-archive:FILE`",
        };
        Failure::new(format!("loading {}", arguments.file.display()), error, next)
    })?;
    for image in loaded {
        named(&image.references, &image.digest);
    }
    Ok(ExitCode::SUCCESS)
}

fn pull(store: Store, layout: &Layout, arguments: PullArguments) -> Result<ExitCode, Failure> {
    let attempted = format!("pulling {}", arguments.name);
    let failed = |cause: &dyn Display, next: &str| Failure::new(attempted.clone(), cause, next);
    let reference = Reference::parse(&arguments.name)
        .map_err(|error| failed(&error, "write a name like nginx:1.29 or ghcr.io/team/app@sha256:..."))?;
    let of_server = || ServerConfig::read(layout).ok()?.registry_config;
    let file = arguments.registry_config.or_else(|| of_server().filter(|path| path.exists()));
    let file = crate::config::registry_config(file, layout)
        .map_err(|error| failed(&error, "correct the file; `gantry image pull --help` shows one"))?;
    let settings = PullSettings { registries_file: Some(file), ..PullSettings::default() };
    let screen = Screen::new();
    let pulled = Puller::new(store, settings).pull(&reference, &|progress| screen.show(progress));
    screen.finish();
    let pulled = pulled.map_err(|error| failed(&error, error.next_step()))?;
    if pulled.bytes == 0 {
        eprintln!("nothing was missing here");
    } else {
        eprintln!("downloaded {}", megabytes(pulled.bytes));
    }
    named(&[reference], &pulled.digest);
    Ok(ExitCode::SUCCESS)
}

fn save(store: &Store, arguments: &SaveArguments) -> Result<ExitCode, Failure> {
    let failed =
        |error: &dyn Display, next: &str| Failure::new(format!("saving {}", arguments.name), error, next);
    let names = "see the names with `gantry image ls`";
    match &arguments.output {
        Some(path) => {
            let file = std::fs::File::create(path).map_err(|error| failed(&error, "name another file"))?;
            store
                .save(&arguments.name, std::io::BufWriter::new(file))
                .map_err(|error| failed(&error, names))?;
        }
        None if std::io::stdout().is_terminal() => {
            return Err(failed(
                &"an archive is nothing for a terminal",
                "name a file with --output, or use a pipe",
            ));
        }
        None => {
            store.save(&arguments.name, std::io::stdout().lock()).map_err(|error| failed(&error, names))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn named(references: &[Reference], digest: &gantry_images::Digest) {
    if references.is_empty() {
        println!("{digest}");
    }
    for reference in references {
        println!("{}  {digest}", reference.familiar());
    }
}

fn list(store: &Store, arguments: &ListArguments) -> Result<ExitCode, Failure> {
    let failed = |error: &dyn Display| Failure::new("listing images", error, "see `gantry doctor`");
    let listed = store.list().map_err(|error| failed(&error))?;
    let rows: Vec<(String, String, Option<u64>)> = listed
        .iter()
        .map(|image| {
            // One image that is damaged does not hide the others.
            let size = store
                .image(&image.digest)
                .ok()
                .map(|image| image.layers.iter().map(|layer| layer.size).sum());
            (image.reference.familiar(), image.digest.to_string(), size)
        })
        .collect();
    if arguments.json {
        let rows: Vec<serde_json::Value> = rows
            .iter()
            .map(
                |(name, digest, bytes)| serde_json::json!({ "name": name, "digest": digest, "bytes": bytes }),
            )
            .collect();
        println!("{:#}", serde_json::Value::Array(rows));
        return Ok(ExitCode::SUCCESS);
    }
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0).max(4);
    println!("{:width$}  {:19}  SIZE", "NAME", "DIGEST");
    for (name, digest, size) in rows {
        let size = size.map_or_else(|| "damaged".to_owned(), megabytes);
        println!("{name:width$}  {:19}  {size}", digest.chars().take(19).collect::<String>());
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(store: &Store, arguments: &RemoveArguments) -> Result<ExitCode, Failure> {
    for name in &arguments.names {
        let failed = |error: &dyn Display| {
            Failure::new(format!("removing {name}"), error, "see the names with `gantry image ls`")
        };
        if !store.remove(name).map_err(|error| failed(&error))? {
            return Err(failed(&"there is no image of that name"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tag(store: &Store, arguments: &TagArguments) -> Result<ExitCode, Failure> {
    store.tag(&arguments.image, &arguments.name).map_err(|error| {
        Failure::new(format!("naming {}", arguments.image), error, "see the names with `gantry image ls`")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn prune(store: &Store) -> Result<ExitCode, Failure> {
    let pruned = store
        .prune()
        .map_err(|error| Failure::new("pruning images", error, "try again when nobody builds or loads"))?;
    println!(
        "removed {} blobs ({}) and {} unpacked layers",
        pruned.blobs,
        megabytes(pruned.blob_bytes),
        pruned.layers
    );
    Ok(ExitCode::SUCCESS)
}

fn build_argument(text: &str) -> Result<(String, String), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        // As docker has it: the value of the variable here.
        None => {
            (text, std::env::var(text).map_err(|_| format!("{text} has no value here; write {text}=VALUE"))?)
        }
    };
    if name.is_empty() { Err("write NAME=VALUE".to_owned()) } else { Ok((name.to_owned(), value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_arguments() {
        assert_eq!(build_argument("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(build_argument("A="), Ok(("A".to_owned(), String::new())));
        assert!(build_argument("=x").is_err());
        assert!(build_argument("GANTRY_NO_SUCH_VARIABLE").is_err());
    }
}
