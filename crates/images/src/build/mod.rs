//! Building an image from a Dockerfile without RUN.
//!
//! Flow: text -> lines -> instructions -> stages -> for each stage that is needed, instruction by instruction: either
//! the configuration changes, or a layer is written and at once unpacked -> configuration and manifest -> names.
//! A Dockerfile that runs programs goes to buildah, podman or docker as a whole, and what they built is loaded.
//!
//! The same context, Dockerfile and options give the same digest. Times: a file keeps its own, in whole seconds, but
//! none after `source_date_epoch`; directories that the build makes have that time or 1970; the image was created at
//! that time, or when the newest file in it was changed.

mod error;
mod external;
mod extract;
mod glob;
mod ignore;
mod instruction;
mod layer;
mod lines;
mod plan;
mod signal;
mod stage;
mod transfer;
mod tree;
mod users;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use gantry_types::Timestamp;

use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::document::{Descriptor, Manifest, media_type, to_json};
use crate::error::StoreError;
use crate::files::read_bounded;
use crate::ingest::Ingest;
use crate::progress::{OnProgress, Progress};
use crate::reference::Reference;
use crate::store::Store;
use error::at_line;
use ignore::Ignore;
use instruction::Instruction;
use lines::Line;
use plan::{Base, Plan};
use stage::Stage;
use tree::Tree;

pub use error::BuildError;

#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// `Dockerfile` in the context by default.
    pub dockerfile: Option<PathBuf>,
    /// Names of the image. Without any it is found by its digest until the next `prune`.
    pub tags: Vec<String>,
    pub build_args: BTreeMap<String, String>,
    /// A stage by name or number; the last by default.
    pub target: Option<String>,
    /// Seconds since 1970; no file and no image gets a later time.
    pub source_date_epoch: Option<i64>,
    /// Where buildah, podman and docker are looked for; `PATH` by default.
    pub builder_path: Option<OsString>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    pub digest: Digest,
    pub references: Vec<Reference>,
    /// Things that work but may not be meant, each a sentence.
    pub warnings: Vec<String>,
    /// The program that built it, if it was not us.
    pub builder: Option<&'static str>,
}

impl Store {
    /// Builds the Dockerfile of a directory.
    pub fn build(
        &self,
        context: &Path,
        options: &BuildOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<Built, BuildError> {
        if !context.is_dir() {
            return Err(BuildError::Context { path: context.to_owned() });
        }
        let references =
            options.tags.iter().map(|tag| Reference::parse(tag)).collect::<Result<Vec<_>, _>>()?;
        let dockerfile = options.dockerfile.clone().unwrap_or_else(|| context.join("Dockerfile"));
        let text = read_text(&dockerfile, self)?.ok_or_else(|| BuildError::Read {
            path: dockerfile.clone(),
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        let lines = lines::parse(&text, self.limits())?;
        let escape = lines.escape;
        let plan = plan::plan(lines, &options.build_args)?;
        let target = plan.target(options.target.as_deref())?;
        let needed = plan.needed(target)?;
        if let Some((line, keyword)) = self.foreign(&plan, &needed)? {
            let job = external::Job { context, dockerfile: &dockerfile, options, references, line, keyword };
            return job.run(self, &self.local_bases(&plan, &needed)?, on_progress);
        }
        let builder = Builder {
            store: self,
            ingest: self.ingest()?,
            options,
            escape,
            context,
            dockerfile: &dockerfile,
            finished: BTreeMap::new(),
            used_arguments: plan.used.clone(),
            warnings: Vec::new(),
            on_progress,
        };
        builder.build(&plan, &needed, target, references)
    }

    /// The first instruction that we leave to another builder.
    fn foreign(&self, plan: &Plan, needed: &BTreeSet<usize>) -> Result<Option<(usize, String)>, BuildError> {
        for stage in needed.iter().map(|number| &plan.stages[*number]) {
            if let Base::Image(name) = &stage.base
                && let Some(digest) = find(self, name, &stage.line)?
                && !self.base(&digest)?.0.config.on_build.is_empty()
            {
                return Ok(Some((stage.line.number, format!("an ONBUILD of the image {name}"))));
            }
            let foreign =
                stage.instructions.iter().find(|(_, instruction)| *instruction == Instruction::Foreign);
            if let Some((line, _)) = foreign {
                return Ok(Some((line.number, line.keyword.clone())));
            }
        }
        Ok(None)
    }

    /// Images of this store that the stages use, for a builder that does not know the store.
    fn local_bases(&self, plan: &Plan, needed: &BTreeSet<usize>) -> Result<Vec<Reference>, BuildError> {
        let mut local = Vec::new();
        for number in needed {
            let stage = &plan.stages[*number];
            let mut names = vec![stage.base.clone()];
            for (line, instruction) in &stage.instructions {
                if let Instruction::Copy(transfer) = instruction
                    && let Some(from) = &transfer.from
                {
                    names.push(plan.source(*number, from).map_err(|message| at_line(line.number, message))?);
                }
            }
            for name in names {
                if let Base::Image(name) = name
                    && find(self, &name, &stage.line)?.is_some()
                    && let Ok(reference) = Reference::parse(&name)
                    && !local.contains(&reference)
                {
                    local.push(reference);
                }
            }
        }
        Ok(local)
    }

    /// Configuration and layers of an image to build upon.
    fn base(&self, digest: &Digest) -> Result<(ConfigFile, Vec<Descriptor>), StoreError> {
        let image = self.image(digest)?;
        let content = self.blobs().read(&image.config_digest, self.limits().document_bytes_max)?;
        let config = ConfigFile::parse(&content, self.limits())
            .map_err(|source| StoreError::Document { digest: image.config_digest, source })?;
        let layers = image.layers.iter().map(|layer| {
            // Docker has names of its own for what is the same.
            let media_type = match layer.media_type.as_str() {
                "application/vnd.docker.image.rootfs.diff.tar.gzip" => media_type::OCI_LAYER_GZIP,
                "application/vnd.docker.image.rootfs.diff.tar" => media_type::OCI_LAYER,
                other => other,
            };
            Descriptor::new(media_type, layer.digest, layer.size)
        });
        Ok((config, layers.collect()))
    }
}

fn find(store: &Store, name: &str, line: &Line) -> Result<Option<Digest>, BuildError> {
    match store.resolve(name) {
        Err(StoreError::Reference(error)) => Err(at_line(line.number, error.to_string())),
        other => Ok(other?),
    }
}

/// A build under way.
struct Builder<'a> {
    store: &'a Store,
    ingest: Ingest,
    options: &'a BuildOptions,
    escape: char,
    context: &'a Path,
    dockerfile: &'a Path,
    finished: BTreeMap<usize, Stage>,
    used_arguments: BTreeSet<String>,
    warnings: Vec<String>,
    on_progress: OnProgress<'a>,
}

impl Builder<'_> {
    fn build(
        mut self,
        plan: &Plan,
        needed: &BTreeSet<usize>,
        target: usize,
        references: Vec<Reference>,
    ) -> Result<Built, BuildError> {
        let total = needed.iter().map(|number| 1 + plan.stages[*number].instructions.len()).sum();
        let mut step = 0;
        for number in needed {
            let planned = &plan.stages[*number];
            let mut report = |line: &Line, on_progress: OnProgress<'_>| {
                step += 1;
                on_progress(Progress::Step { number: step, total, instruction: &line.text });
            };
            report(&planned.line, self.on_progress);
            let mut stage = match &planned.base {
                Base::Scratch => Stage::scratch(*number),
                Base::Stage(base) => self.finished(*base).next(*number),
                Base::Image(name) => self.image(name, &planned.line)?.next(*number),
            };
            for (line, instruction) in &planned.instructions {
                report(line, self.on_progress);
                self.apply(&mut stage, plan, line, instruction)?;
            }
            self.finished.insert(*number, stage);
        }
        let unused = self
            .options
            .build_args
            .keys()
            .filter(|name| !self.used_arguments.contains(*name) && !stage::is_predefined(name));
        for name in unused.cloned().collect::<Vec<_>>() {
            self.warn(format!("build argument {name} was given, but no ARG takes it"));
        }
        self.commit(target, references)
    }

    /// Writes configuration and manifest, and gives the names.
    fn commit(mut self, target: usize, references: Vec<Reference>) -> Result<Built, BuildError> {
        let stage = self.finished.remove(&target).expect("the target is among the stages that were built");
        let mut config = stage.config;
        let newest = stage.newest.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000)));
        let created = match self.options.source_date_epoch {
            Some(seconds) => Timestamp::from_millis(seconds.saturating_mul(1000)),
            None => {
                let of_base = config.created.as_deref().and_then(Timestamp::parse);
                newest.max(of_base).unwrap_or(Timestamp::EPOCH)
            }
        };
        let created = Some(created.iso8601());
        for entry in config.history.iter_mut().filter(|entry| entry.created.is_none()) {
            entry.created.clone_from(&created);
        }
        config.created = created;
        config.rootfs.kind = "layers".into();
        let config = to_json(&config);
        let config_digest = self.ingest.add(&config)?;
        let config = Descriptor::new(media_type::OCI_CONFIG, config_digest, config.len() as u64);
        let manifest = to_json(&Manifest::new(config, stage.layers));
        let digest = self.ingest.add(&manifest)?;
        let names: Vec<_> = references.iter().map(|reference| (reference.clone(), digest)).collect();
        self.ingest.commit(&names)?;
        Ok(Built { digest, references, warnings: self.warnings, builder: None })
    }

    fn finished(&self, number: usize) -> &Stage {
        self.finished
            .get(&number)
            .expect("stages are built in their order, and each only uses those before it")
    }

    /// An image of the store as a stage.
    fn image(&self, name: &str, line: &Line) -> Result<Stage, BuildError> {
        let digest = find(self.store, name, line)?.ok_or_else(|| {
            at_line(
                line.number,
                format!("there is no image {name} here; load it first, with \"gantry image load\""),
            )
        })?;
        let directories = self.store.prepare_with(&digest, self.on_progress)?;
        let (config, layers) = self.store.base(&digest)?;
        Ok(Stage::of_image(config, layers, directories))
    }

    fn context(&self, line: &Line) -> Result<Tree, BuildError> {
        // A file of the Dockerfile's own wins over the one for all.
        let mut own = self.dockerfile.as_os_str().to_owned();
        own.push(".dockerignore");
        let mut ignore = Ignore::default();
        for path in [PathBuf::from(own), self.context.join(".dockerignore")] {
            if let Some(text) = read_text(&path, self.store)? {
                ignore = Ignore::parse(&text, &path)?;
                break;
            }
        }
        Tree::context(self.context, ignore).map_err(|error| at_line(line.number, error.to_string()))
    }

    fn warn(&mut self, message: String) {
        (self.on_progress)(Progress::Line(&message));
        self.warnings.push(message);
    }
}

fn read_text(path: &Path, store: &Store) -> Result<Option<String>, BuildError> {
    let Some(content) = read_bounded(path, store.limits().dockerfile_bytes_max)? else { return Ok(None) };
    String::from_utf8(content).map(Some).map_err(|_| BuildError::NotText { path: path.to_owned() })
}
