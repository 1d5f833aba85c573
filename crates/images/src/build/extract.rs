//! ADD of a tar archive: its entries become entries of the layer.

use std::io::{self, Read};

use rustix::fs::FileType;

use super::layer::{LayerBuilder, LayerTrouble};
use super::transfer::Plan;
use super::tree::{Last, Node, Tree, join, show};
use crate::compression::{Bounded, decompress};
use crate::tar::{Entry, Kind, TarError, TarReader};
use crate::unpack::EntryPath;

/// Whether a file is a tar archive, whatever its name and compression.
pub(super) fn is_archive(tree: &Tree, node: &Node) -> Result<bool, String> {
    let file = tree.open(node).map_err(|error| error.to_string())?;
    let content = match decompress(file) {
        Ok((_, content)) => content,
        // Docker would extract these, so copying them as they are would be wrong.
        Err(error @ TarError::Compression(_)) => {
            return Err(format!("{} cannot be extracted: {error}", show(&node.path)));
        }
        Err(_) => return Ok(false),
    };
    // A file of zeros alone is an archive without entries; as Docker, copy it.
    Ok(matches!(TarReader::new(content).next(), Ok(Some(_))))
}

/// Writes the entries of an archive below `target`. Owners are the archive's unless the plan has one.
pub(super) fn extract(
    plan: &Plan<'_>,
    node: &Node,
    target: &[u8],
    image: &Tree,
    layer: &mut LayerBuilder<'_>,
) -> Result<(), LayerTrouble> {
    let limits = plan.limits;
    let input = |message: String| LayerTrouble::Input(format!("archive {}: {message}", show(&node.path)));
    let (_, content) = decompress(plan.from.open(node)?).map_err(|error| input(error.to_string()))?;
    let mut archive = TarReader::new(Bounded::new(content, limits.layer_bytes_max));
    while let Some(mut entry) = archive.next().map_err(|error| input(error.to_string()))? {
        let refused =
            |refusal: &dyn std::fmt::Display| input(format!("entry {} {refusal}", show(&entry.path)));
        let inside = EntryPath::parse(&entry.path, limits).map_err(|refusal| refused(&refusal))?.to_bytes();
        let link = match entry.kind {
            Kind::HardLink => {
                let inside = EntryPath::parse(&entry.link, limits).map_err(|refusal| refused(&refusal))?;
                Some(place(&join(target, &inside.to_bytes()), image, layer)?)
            }
            _ => None,
        };
        if let Some((uid, gid)) = plan.owner {
            (entry.uid, entry.gid) = (uid.into(), gid.into());
        }
        if let Some(mode) = plan.mode {
            entry.mode = mode;
        }
        if inside.is_empty() {
            continue;
        }
        if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
            (plan.warn)(format!("{} is a device; it is left out", show(&entry.path)));
            continue;
        }
        entry.path = place(&join(target, &inside), image, layer)?;
        entry.link = link.unwrap_or(entry.link);
        layer.parents(&entry.path, plan.owner.unwrap_or((0, 0)))?;
        write(&entry, &mut archive, layer)?;
    }
    Ok(())
}

/// Where an entry goes: links above it that are in the image are followed, unless the archive has replaced them.
fn place(path: &[u8], image: &Tree, layer: &LayerBuilder<'_>) -> Result<Vec<u8>, LayerTrouble> {
    let Some(slash) = path.iter().rposition(|byte| *byte == b'/') else { return Ok(path.to_vec()) };
    let (parent, name) = (&path[..slash], &path[slash + 1..]);
    if layer.has_directory(parent) {
        return Ok(path.to_vec());
    }
    let place = image.place(parent, Last::Followed)?;
    match place.node {
        Some(node) if node.kind != FileType::Directory => {
            Err(LayerTrouble::Input(format!("{} is not a directory", show(parent))))
        }
        _ => Ok(join(&place.path, name)),
    }
}

fn write<R: Read>(
    entry: &Entry,
    archive: &mut TarReader<R>,
    layer: &mut LayerBuilder<'_>,
) -> Result<(), LayerTrouble> {
    let mut entry = entry.clone();
    entry.xattrs.retain(|(name, _)| crate::unpack::is_portable(name));
    let Some(pieces) = entry.pieces.take() else {
        return match entry.kind {
            Kind::File => layer.file(&entry, &mut archive.content()),
            _ => layer.append(&entry),
        };
    };
    // The layer has a sparse file whole.
    layer.append(&entry)?;
    let mut at = 0;
    for (offset, length) in pieces {
        layer.copy(&entry, offset - at, &mut io::repeat(0))?;
        layer.copy(&entry, length, &mut archive.content())?;
        at = offset + length;
    }
    layer.copy(&entry, entry.size - at, &mut io::repeat(0))
}
