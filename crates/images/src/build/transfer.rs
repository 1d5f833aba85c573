//! COPY and ADD: which files go where, with whose attributes.
//!
//! The rules are those of Docker's current builder:
//! - a source that is a directory stands for what is in it;
//! - a file goes into the destination if that is a directory or ends with a slash, else it gets its name;
//! - a pattern may match nothing, a plain source must exist;
//! - links in a source's own path are followed, links below a copied directory are copied;
//! - what is missing of the destination is made, mode 0755;
//! - from a context files belong to 0:0, from an image to whom they belonged.

use std::collections::BTreeMap;

use rustix::fs::FileType;

use super::extract;
use super::glob::{Glob, characters};
use super::layer::{LayerBuilder, LayerTrouble, Owner};
use super::tree::{Last, Node, Tree, join, parts, show};
use crate::limits::Limits;
use crate::tar::{Entry, Kind};

/// One COPY or ADD with its variables replaced and its names looked up.
pub(super) struct Plan<'a> {
    pub(super) sources: Vec<String>,
    /// Absolute; a slash at the end tells that it is a directory.
    pub(super) destination: String,
    pub(super) from: &'a Tree,
    pub(super) owner: Option<Owner>,
    pub(super) mode: Option<u32>,
    pub(super) archives: Archives,
    pub(super) limits: &'a Limits,
    /// For files that are left out.
    pub(super) warn: &'a dyn Fn(String),
}

/// What becomes of a source that is a tar archive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Archives {
    Copied,
    Extracted,
}

struct Planned {
    node: Node,
}

type Files = BTreeMap<Vec<u8>, Planned>;

pub(super) fn transfer(
    plan: &Plan<'_>,
    image: &Tree,
    layer: &mut LayerBuilder<'_>,
) -> Result<(), LayerTrouble> {
    let input = LayerTrouble::Input;
    let mut nodes = Vec::new();
    for source in &plan.sources {
        nodes.extend(find(plan.from, source)?);
    }
    let into_directory = plan.destination.ends_with('/');
    if nodes.len() > 1 && !into_directory {
        let several_files = image.follow(plan.destination.as_bytes())?;
        if plan.sources.len() > 1 || several_files.is_none_or(|node| node.kind != FileType::Directory) {
            return Err(input(format!(
                "with more than one source the destination has to be a directory and end with a slash, not {:?}",
                plan.destination
            )));
        }
    }
    let target = image.place(plan.destination.as_bytes(), Last::Followed)?;
    let is_directory = target.node.as_ref().is_some_and(|node| node.kind == FileType::Directory);
    if into_directory && target.node.is_some() && !is_directory {
        return Err(input(format!("the destination {:?} is not a directory", plan.destination)));
    }
    let owner = plan.owner.unwrap_or((0, 0));
    let mut files = Files::new();
    for (name, node) in nodes {
        let is_archive = plan.archives == Archives::Extracted
            && node.kind == FileType::RegularFile
            && extract::is_archive(plan.from, &node).map_err(input)?;
        if is_archive || node.kind == FileType::Directory {
            if target.node.is_some() && !is_directory {
                return Err(input(format!("the destination {:?} is not a directory", plan.destination)));
            }
            layer.parents(&target.path, owner)?;
            layer.directory(&target.path, owner)?;
        }
        if is_archive {
            // What was planned before stands before it.
            write(plan, std::mem::take(&mut files), layer)?;
            extract::extract(plan, &node, &target.path, image, layer)?;
        } else if node.kind == FileType::Directory {
            gather(plan, image, &node, &target.path, &mut files)?;
        } else if into_directory || is_directory {
            layer.parents(&join(&target.path, &name), owner)?;
            put(plan, image, join(&target.path, &name), node, &mut files)?;
        } else {
            // A link that stands at the destination is replaced, not followed.
            let place = image.place(plan.destination.as_bytes(), Last::AsItIs)?;
            layer.parents(&place.path, owner)?;
            put(plan, image, place.path, node, &mut files)?;
        }
    }
    if into_directory && files.is_empty() && layer.is_empty() && !plan.sources.is_empty() {
        // Patterns that matched nothing copy nothing, and make nothing.
        return Ok(());
    }
    write(plan, files, layer)
}

/// The files that a source means, each with the name that it gets in a directory.
fn find(tree: &Tree, source: &str) -> Result<Vec<(Vec<u8>, Node)>, LayerTrouble> {
    let cleaned = clean(source);
    if !Glob::is_pattern(source) {
        let node = tree.follow(cleaned.as_bytes())?.ok_or_else(|| {
            let place = if tree.is_context() {
                "the build context, or .dockerignore leaves it out"
            } else {
                "that image"
            };
            LayerTrouble::Input(format!("{source:?} is not in {place}"))
        })?;
        let name = cleaned.rsplit('/').next().unwrap_or_default().as_bytes().to_vec();
        return Ok(vec![(name, node)]);
    }
    // Part by part: a star never matches a slash.
    let mut found = vec![tree.root()];
    let globs =
        cleaned.split('/').map(Glob::new).collect::<Result<Vec<_>, _>>().map_err(LayerTrouble::Input)?;
    for glob in &globs {
        let mut next = Vec::new();
        for directory in &found {
            let Some(directory) = tree.follow(&directory.path)? else { continue };
            if directory.kind != FileType::Directory {
                continue;
            }
            let children = tree.list(&directory)?.into_iter();
            next.extend(children.filter(|child| glob.matches(&characters(name_of(child)))));
        }
        found = next;
    }
    let mut nodes = Vec::new();
    for node in found {
        let name = name_of(&node).to_vec();
        if let Some(node) = tree.follow(&node.path)? {
            nodes.push((name, node));
        }
    }
    Ok(nodes)
}

fn name_of(node: &Node) -> &[u8] {
    node.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Relative to the root, with `..` stopping there, as Docker has it.
fn clean(source: &str) -> String {
    let mut cleaned: Vec<&str> = Vec::new();
    for part in source.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(cleaned.pop()),
            part => cleaned.push(part),
        }
    }
    cleaned.join("/")
}

/// Everything below a directory, on a list of directories to do instead of the stack: they may be deep.
fn gather(
    plan: &Plan<'_>,
    image: &Tree,
    directory: &Node,
    target: &[u8],
    files: &mut Files,
) -> Result<(), LayerTrouble> {
    let mut pending = vec![(directory.clone(), target.to_vec())];
    while let Some((directory, target)) = pending.pop() {
        for child in plan.from.list(&directory)? {
            let path = join(&target, name_of(&child));
            if child.kind == FileType::Directory {
                pending.push((child.clone(), path.clone()));
            }
            put(plan, image, path, child, files)?;
        }
    }
    Ok(())
}

fn put(
    plan: &Plan<'_>,
    image: &Tree,
    path: Vec<u8>,
    node: Node,
    files: &mut Files,
) -> Result<(), LayerTrouble> {
    let input = LayerTrouble::Input;
    match node.kind {
        FileType::RegularFile | FileType::Directory | FileType::Symlink => {}
        FileType::Fifo if !plan.from.is_context() => {}
        _ => {
            (plan.warn)(format!(
                "{} is neither a file, a directory nor a link; it is left out",
                show(&node.path)
            ));
            return Ok(());
        }
    }
    let is_directory = node.kind == FileType::Directory;
    let planned = files.get(&path).map(|planned| planned.node.kind);
    let existing = match planned {
        Some(kind) => Some(kind),
        None => image.look(&path)?.map(|node| node.kind),
    };
    match existing {
        Some(FileType::Directory) if !is_directory => {
            Err(input(format!("the file {} cannot replace a directory", show(&path))))
        }
        Some(kind) if is_directory && kind != FileType::Directory => {
            Err(input(format!("the directory {} cannot replace something else", show(&path))))
        }
        _ if files.len() as u64 >= plan.limits.entries_max => {
            Err(input(format!("more than {} files", plan.limits.entries_max)))
        }
        _ => {
            files.insert(path, Planned { node });
            Ok(())
        }
    }
}

/// Writes what was planned, sorted by path; that also puts each directory before what is in it.
fn write(plan: &Plan<'_>, files: Files, layer: &mut LayerBuilder<'_>) -> Result<(), LayerTrouble> {
    let mut written: BTreeMap<(u64, u64), Vec<u8>> = BTreeMap::new();
    for (path, Planned { node }) in files {
        let kind = match node.kind {
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            _ => Kind::File,
        };
        let mut entry = Entry::new(&path, kind);
        let owner = match plan.owner {
            Some(owner) => owner,
            None if plan.from.is_context() => (0, 0),
            None => (node.uid, node.gid),
        };
        (entry.uid, entry.gid) = (owner.0.into(), owner.1.into());
        entry.mode = match kind {
            Kind::Symlink => 0o777,
            _ => plan.mode.unwrap_or(node.mode),
        };
        entry.mtime_seconds = node.mtime_seconds;
        entry.xattrs = plan.from.xattrs(&node)?;
        match kind {
            Kind::File => {
                let (device, inode, names) = node.identity;
                if names > 1
                    && let Some(first) = written.get(&(device, inode))
                {
                    entry.kind = Kind::HardLink;
                    entry.link.clone_from(first);
                    entry.xattrs.clear();
                    layer.append(&entry)?;
                    continue;
                }
                entry.size = node.size;
                let mut content = plan.from.open(&node)?;
                layer.file(&entry, &mut content)?;
                if names > 1 {
                    written.insert((device, inode), path);
                }
            }
            Kind::Symlink => {
                entry.link = plan.from.link_target(&node)?;
                layer.append(&entry)?;
            }
            _ => layer.append(&entry)?,
        }
    }
    Ok(())
}

/// The destination below the working directory, with its slash; `.` and `..` at the end mean directories too.
pub(super) fn absolute(destination: &str, working_directory: &str) -> String {
    let mut cleaned: Vec<&[u8]> = Vec::new();
    let whole = if destination.starts_with('/') {
        destination.to_owned()
    } else {
        format!("{working_directory}/{destination}")
    };
    for part in parts(whole.as_bytes()) {
        if part == b".." {
            cleaned.pop();
        } else {
            cleaned.push(part);
        }
    }
    let last = destination.rsplit('/').next().unwrap_or_default();
    let path = cleaned.iter().map(|part| String::from_utf8_lossy(part)).collect::<Vec<_>>().join("/");
    let slash = if matches!(last, "" | "." | "..") && !path.is_empty() { "/" } else { "" };
    format!("/{path}{slash}")
}
