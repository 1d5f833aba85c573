//! Carries out the instructions of one stage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rustix::fs::FileType;

use super::error::{BuildError, at_line};
use super::instruction::{Command, HealthCheck, Instruction, Transfer};
use super::layer::{LayerBuilder, LayerTrouble};
use super::lines::Line;
use super::plan::{Base, Plan};
use super::transfer::{self, Archives, absolute};
use super::tree::Tree;
use super::{Builder, signal, users, words};
use crate::config::{ConfigFile, Empty, ExposedPort, Healthcheck, History};
use crate::document::{Descriptor, Platform, media_type};
use crate::store::Layer;
use crate::unpack;

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage while it is built, and afterwards.
#[derive(Clone, Default)]
pub(super) struct Stage {
    number: usize,
    pub(super) config: ConfigFile,
    pub(super) layers: Vec<Descriptor>,
    /// Where the layers are unpacked, the topmost first.
    pub(super) directories: Vec<PathBuf>,
    /// ARGs in scope.
    arguments: BTreeMap<String, String>,
    /// Whether this stage has a CMD of its own.
    has_cmd: bool,
    /// The latest time of any file that came in.
    pub(super) newest: Option<i64>,
}

impl Stage {
    pub(super) fn scratch(number: usize) -> Self {
        let host = Platform::host();
        let mut config = ConfigFile {
            architecture: host.architecture,
            os: host.os,
            variant: host.variant,
            ..ConfigFile::default()
        };
        config.config.env.push(DEFAULT_PATH.into());
        config.config.working_dir = "/".into();
        Self { number, config, ..Self::default() }
    }

    pub(super) fn of_image(config: ConfigFile, layers: Vec<Descriptor>, directories: Vec<PathBuf>) -> Self {
        Self { config, layers, directories, ..Self::default() }
    }

    /// A stage on top of this one.
    pub(super) fn next(&self, number: usize) -> Self {
        Self { number, arguments: BTreeMap::new(), has_cmd: false, ..self.clone() }
    }

    /// The image so far.
    pub(super) fn tree(&self, line: usize) -> Result<Tree, BuildError> {
        Tree::image(&self.directories).map_err(|error| at_line(line, error.to_string()))
    }

    /// ENV wins over ARG.
    fn variable(&self, name: &str) -> Option<String> {
        let of_env = self.config.config.env.iter().find_map(|entry| match entry.split_once('=') {
            Some((key, value)) if key == name => Some(value.to_owned()),
            _ => None,
        });
        of_env.or_else(|| self.arguments.get(name).cloned())
    }

    fn working_directory(&self) -> &str {
        match self.config.config.working_dir.as_str() {
            "" => "/",
            directory => directory,
        }
    }

    fn set_env(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        let env = &mut self.config.config.env;
        match env.iter_mut().find(|old| old.split('=').next() == Some(name)) {
            Some(old) => *old = entry,
            None => env.push(entry),
        }
    }
}

impl Builder<'_> {
    /// Carries out one instruction.
    pub(super) fn apply(
        &mut self,
        stage: &mut Stage,
        plan: &Plan,
        line: &Line,
        instruction: &Instruction,
    ) -> Result<(), BuildError> {
        let made_layer = match instruction {
            Instruction::Copy(transfer) => self.transfer(stage, plan, line, transfer, Archives::Copied)?,
            Instruction::Add(transfer) => self.transfer(stage, plan, line, transfer, Archives::Extracted)?,
            Instruction::WorkDir(path) => self.work_dir(stage, line, path)?,
            other => {
                self.configure(stage, plan, other).map_err(|message| at_line(line.number, message))?;
                false
            }
        };
        let bytes = stage.config.approximate_bytes();
        if bytes > self.store.limits().document_bytes_max {
            return Err(at_line(line.number, "the image's configuration becomes too large"));
        }
        stage.config.history.push(History {
            created_by: Some(line.text.clone()),
            empty_layer: !made_layer,
            ..History::default()
        });
        Ok(())
    }

    /// Instructions that change nothing but the configuration.
    fn configure(&mut self, stage: &mut Stage, plan: &Plan, instruction: &Instruction) -> Result<(), String> {
        let escape = self.escape;
        let before = stage.clone();
        let expand = |text: &str| words::expand(text, escape, &|name| before.variable(name));
        let run = &mut stage.config.config;
        match instruction {
            Instruction::Env(pairs) => {
                for (name, value) in pairs {
                    stage.set_env(&expand(name)?, &expand(value)?);
                }
            }
            Instruction::Label(pairs) => {
                for (name, value) in pairs {
                    run.labels.insert(expand(name)?, expand(value)?);
                }
            }
            Instruction::Arg(arguments) => {
                for (name, default) in arguments {
                    self.argument(stage, plan, name, default.as_deref())?;
                }
            }
            Instruction::Expose(words) => {
                for word in words {
                    for port in expand(word)?.split_whitespace() {
                        expose(&mut run.exposed_ports, port)?;
                    }
                }
            }
            Instruction::User(user) => run.user = expand(user)?,
            Instruction::Entrypoint(command) => {
                run.entrypoint = Some(self.command(&before, command));
                // A command of the base image was meant for its own entry point.
                if !stage.has_cmd {
                    run.cmd = None;
                }
            }
            Instruction::Cmd(command) => {
                run.cmd = Some(self.command(&before, command));
                stage.has_cmd = true;
            }
            Instruction::Shell(words) => run.shell = Some(words.clone()),
            Instruction::StopSignal(text) => run.stop_signal = Some(signal::check(&expand(text)?)?),
            Instruction::HealthCheck(check) => run.healthcheck = Some(self.health_check(&before, check)),
            Instruction::Volume(paths) => {
                for path in paths {
                    let path = expand(path)?;
                    if path.trim().is_empty() {
                        return Err("a volume needs a path".into());
                    }
                    run.volumes.insert(path, Empty {});
                }
            }
            Instruction::Maintainer(author) => stage.config.author = Some(author.clone()),
            Instruction::From { .. }
            | Instruction::Copy(_)
            | Instruction::Add(_)
            | Instruction::WorkDir(_)
            | Instruction::Foreign => {
                unreachable!("the plan and `apply` deal with these")
            }
        }
        Ok(())
    }

    fn argument(
        &mut self,
        stage: &mut Stage,
        plan: &Plan,
        name: &str,
        default: Option<&str>,
    ) -> Result<(), String> {
        let escape = self.escape;
        let expand = |text: &str| words::expand(text, escape, &|name| stage.variable(name));
        let name = expand(name)?;
        let value = match (self.options.build_args.get(&name), default) {
            (Some(value), _) => {
                self.used_arguments.insert(name.clone());
                Some(value.clone())
            }
            (None, Some(default)) => Some(expand(default)?),
            (None, None) => plan.globals.get(&name).cloned(),
        };
        if let Some(value) = value {
            stage.arguments.insert(name, value);
        }
        Ok(())
    }

    fn command(&self, stage: &Stage, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(words) => words.clone(),
            Command::Shell(line) => {
                let shell = stage.config.config.shell.clone();
                let mut words = shell.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
                words.push(line.clone());
                words
            }
        }
    }

    fn health_check(&self, stage: &Stage, check: &HealthCheck) -> Healthcheck {
        let test = match &check.command {
            None => vec!["NONE".into()],
            Some(Command::Exec(words)) => {
                std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect()
            }
            Some(Command::Shell(line)) if stage.config.config.shell.is_none() => {
                vec!["CMD-SHELL".into(), line.clone()]
            }
            Some(shell) => std::iter::once("CMD".to_owned()).chain(self.command(stage, shell)).collect(),
        };
        Healthcheck {
            test,
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }
    }

    /// The working directory is made if the image does not have it.
    fn work_dir(&mut self, stage: &mut Stage, line: &Line, path: &str) -> Result<bool, BuildError> {
        let fail = |message: String| at_line(line.number, message);
        let path = words::expand(path, self.escape, &|name| stage.variable(name)).map_err(fail)?;
        if path.is_empty() {
            return Err(fail("the directory is empty when its variables are replaced".into()));
        }
        let directory = absolute(&path, stage.working_directory());
        let directory = match directory.trim_end_matches('/') {
            "" => "/".to_owned(),
            directory => directory.to_owned(),
        };
        stage.config.config.working_dir.clone_from(&directory);
        let tree = stage.tree(line.number)?;
        let place = tree
            .place(directory.as_bytes(), super::tree::Last::Followed)
            .map_err(|error| fail(error.to_string()))?;
        match place.node {
            Some(node) if node.kind == FileType::Directory => Ok(false),
            Some(_) => Err(fail(format!("{directory:?} is not a directory"))),
            None => self.layer(stage, &tree, line, |layer| {
                layer.parents(&place.path, (0, 0))?;
                layer.directory(&place.path, (0, 0))
            }),
        }
    }

    fn transfer(
        &mut self,
        stage: &mut Stage,
        plan: &Plan,
        line: &Line,
        transfer: &Transfer,
        archives: Archives,
    ) -> Result<bool, BuildError> {
        let fail = |message: String| at_line(line.number, message);
        let escape = self.escape;
        let tree = stage.tree(line.number)?;
        let expand = |text: &String| words::expand(text, escape, &|name| stage.variable(name)).map_err(fail);
        let sources = transfer.sources.iter().map(expand).collect::<Result<Vec<_>, _>>()?;
        if let Some(url) = sources.iter().find(|source| is_remote(source))
            && transfer.from.is_none()
        {
            return Err(fail(format!(
                "{url:?} is not fetched, because the same Dockerfile would then give different images; download it \
                 into the build context"
            )));
        }
        if let Some(text) = sources.iter().find(|source| source.is_empty()) {
            return Err(fail(format!("a source is {text:?} when its variables are replaced")));
        }
        let destination = absolute(&expand(&transfer.destination)?, stage.working_directory());
        let owner = transfer.owner.as_ref().map(&expand).transpose()?;
        let owner = owner.map(|owner| users::owner(&owner, &tree)).transpose().map_err(fail)?;
        let mode = transfer.mode.as_ref().map(&expand).transpose()?;
        let mode = mode.map(|mode| users::mode(&mode)).transpose().map_err(fail)?;
        let other = match &transfer.from {
            None => None,
            Some(from) => match plan.source(stage.number, from).map_err(fail)? {
                Base::Stage(number) => Some(self.finished(number).tree(line.number)?),
                Base::Image(name) => Some(self.image(&name, line)?.tree(line.number)?),
                Base::Scratch => None,
            },
        };
        let context = match other {
            Some(_) => None,
            None => Some(self.context(line)?),
        };
        let warnings = std::cell::RefCell::new(Vec::new());
        let transfer = transfer::Plan {
            sources,
            destination,
            from: other.as_ref().or(context.as_ref()).expect("one of the two was opened just above"),
            owner,
            mode,
            archives,
            limits: self.store.limits(),
            warn: &|message| warnings.borrow_mut().push(message),
        };
        let made = self.layer(stage, &tree, line, |layer| transfer::transfer(&transfer, &tree, layer))?;
        for warning in warnings.into_inner() {
            self.warn(format!("Dockerfile line {}: {warning}", line.number));
        }
        Ok(made)
    }

    /// Writes a layer and unpacks it, so that what follows can look at it. False if nothing came into it.
    fn layer(
        &mut self,
        stage: &mut Stage,
        tree: &Tree,
        line: &Line,
        write: impl FnOnce(&mut LayerBuilder<'_>) -> Result<(), LayerTrouble>,
    ) -> Result<bool, BuildError> {
        let limits = self.store.limits();
        let blob = self.ingest.blob()?;
        let mut layer = LayerBuilder::new(blob, tree, limits, self.options.source_date_epoch);
        let written = write(&mut layer);
        if written.is_err() || layer.is_empty() {
            layer.discard();
            return written.map(|()| false).map_err(|trouble| trouble.at(line.number));
        }
        if stage.layers.len() == limits.layers_max {
            layer.discard();
            return Err(at_line(
                line.number,
                format!("the image has more than {} layers", limits.layers_max),
            ));
        }
        stage.newest = stage.newest.max(layer.newest());
        let blob = layer.finish().map_err(|trouble| trouble.at(line.number))?;
        // Without compression the blob is its own diff ID.
        let (digest, size) = self.ingest.finish(blob, None)?;
        let unpacked = match self.ingest.layer_directory(&digest) {
            Some(directory) => directory,
            None => {
                let directory = self.ingest.temporary().path().join("unpacking");
                let media_type = media_type::OCI_LAYER.to_owned();
                let layer = Layer { digest, media_type, size, diff_id: digest };
                unpack::unpack(self.ingest.open(&digest)?, &layer, &directory, limits, self.on_progress)?;
                self.ingest.adopt_layer(digest, &directory)?
            }
        };
        stage.layers.push(Descriptor::new(media_type::OCI_LAYER, digest, size));
        stage.config.rootfs.diff_ids.push(digest);
        stage.directories.insert(0, unpacked);
        Ok(true)
    }
}

fn is_remote(source: &str) -> bool {
    ["http://", "https://", "ftp://", "git://", "git@"].iter().any(|scheme| source.starts_with(scheme))
}

fn expose(ports: &mut BTreeMap<String, Empty>, text: &str) -> Result<(), String> {
    let range = ExposedPort::parse_range(text)
        .ok_or_else(|| format!("{text:?} is not a port, as in 80, 53/udp or 8000-8010"))?;
    ports.extend(range.iter().map(|port| (port.to_string(), Empty {})));
    Ok(())
}

/// Build arguments that are always allowed, used or not.
pub(super) fn is_predefined(name: &str) -> bool {
    let predefined: BTreeSet<_> =
        ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"].into_iter().collect();
    predefined.contains(name.to_ascii_uppercase().as_str())
}
