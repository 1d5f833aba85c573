//! `--chown`: users and groups by number, or by the image's own /etc/passwd and /etc/group.

use std::io::Read;

use super::layer::Owner;
use super::tree::Tree;

const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads `user[:group]`. A number without a group is the group too; a name brings its own.
pub(super) fn owner(text: &str, image: &Tree) -> Result<Owner, String> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let (uid, own_group) = match number(user) {
        Some(uid) => (uid, uid),
        None => {
            let fields = find(image, "etc/passwd", user)?;
            let id = |at: usize| fields.get(at).and_then(|field| number(field));
            match (id(2), id(3)) {
                (Some(uid), Some(gid)) => (uid, gid),
                _ => return Err(format!("the image's /etc/passwd has no numbers for user {user:?}")),
            }
        }
    };
    let gid = match group {
        None | Some("") => own_group,
        Some(group) => match number(group) {
            Some(gid) => gid,
            None => find(image, "etc/group", group)?
                .get(2)
                .and_then(|field| number(field))
                .ok_or_else(|| format!("the image's /etc/group has no number for group {group:?}"))?,
        },
    };
    Ok((uid, gid))
}

/// An octal mode of at most twelve bits.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let octal = !text.is_empty() && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal && mode <= 0o7777 => Ok(mode),
        _ => Err(format!("--chmod needs an octal mode, as in --chmod=0755, not {text:?}")),
    }
}

/// The highest number means "nobody" to the kernel.
fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|id| *id != u32::MAX)
}

/// The fields of the line that begins with `name:`.
fn find(image: &Tree, path: &str, name: &str) -> Result<Vec<String>, String> {
    let missing = || format!("the image's /{path} does not have {name:?}; numbers work without it");
    if name.is_empty() {
        return Err("--chown needs a user, as in --chown=1000:1000".into());
    }
    let node = image.follow(path.as_bytes()).map_err(|error| error.to_string())?.ok_or_else(missing)?;
    let file = image.open(&node).map_err(|error| error.to_string())?;
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut content)
        .map_err(|error| format!("could not read the image's /{path}: {error}"))?;
    String::from_utf8_lossy(&content)
        .lines()
        .map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>())
        .find(|fields| fields.first().is_some_and(|first| first == name))
        .ok_or_else(missing)
}
