//! What `gantry up` brought up, kept in the state directory, so that `gantry down` finds it again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::write_private;
use crate::layout::Layout;

/// No record of a person's work is larger.
const BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct UpRecord {
    /// The server was started by `gantry up`, and ends with the last stack.
    pub(crate) server_started: bool,
    /// By their names.
    pub(crate) stacks: BTreeMap<String, StackRecord>,
    /// Folders of Terraform files, by their paths.
    pub(crate) terraform: BTreeMap<PathBuf, TerraformRecord>,
    /// What images were built from: a fingerprint by the image's name.
    pub(crate) builds: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StackRecord {
    pub(crate) region: String,
    pub(crate) template: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TerraformRecord {
    pub(crate) region: String,
}

fn path(layout: &Layout) -> PathBuf {
    layout.root().join("up.json")
}

impl UpRecord {
    /// What is kept; a file that nobody can read is as good as none, since all it spares is asking.
    pub(crate) fn read(layout: &Layout) -> io::Result<Self> {
        let path = path(layout);
        match std::fs::metadata(&path) {
            Ok(found) if found.len() > BYTES_MAX => return Ok(Self::default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other?,
        };
        let text = std::fs::read(&path)?;
        Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!("{}: {error}", path.display());
            Self::default()
        }))
    }

    pub(crate) fn write(&self, layout: &Layout) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        write_private(&path(layout), &text)
    }

    /// Reads, changes and writes.
    pub(crate) fn change(layout: &Layout, change: impl FnOnce(&mut Self)) -> io::Result<()> {
        let mut record = Self::read(layout)?;
        change(&mut record);
        record.write(layout)
    }

    /// The stacks that a word of the user's means: a name, a template or its folder; all of them without one.
    pub(crate) fn stacks_meant(&self, word: Option<&str>) -> Vec<String> {
        let Some(word) = word else { return self.stacks.keys().cloned().collect() };
        if self.stacks.contains_key(word) {
            return vec![word.to_owned()];
        }
        let Ok(meant) = Path::new(word).canonicalize() else { return Vec::new() };
        let is_meant =
            |record: &StackRecord| record.template == meant || record.template.parent() == Some(&meant);
        let found = self.stacks.iter().filter(|(_, record)| is_meant(record));
        found.map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn folders_meant(&self, word: Option<&str>) -> Vec<PathBuf> {
        let Some(word) = word else { return self.terraform.keys().cloned().collect() };
        let meant = Path::new(word).canonicalize().unwrap_or_default();
        self.terraform.keys().filter(|folder| **folder == meant).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_up_is_found_by_name_template_and_folder() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        assert_eq!(UpRecord::read(&layout).unwrap(), UpRecord::default());
        let template = folder.path().canonicalize().unwrap().join("template.yaml");
        std::fs::write(&template, "").unwrap();
        UpRecord::change(&layout, |record| {
            let region = "us-east-1".to_owned();
            record.stacks.insert("shop".to_owned(), StackRecord { region, template: template.clone() });
        })
        .unwrap();
        let record = UpRecord::read(&layout).unwrap();
        for word in [None, Some("shop"), template.to_str(), folder.path().to_str()] {
            assert_eq!(record.stacks_meant(word), ["shop"], "{word:?}");
        }
        assert!(record.stacks_meant(Some("other")).is_empty());
        std::fs::write(layout.root().join("up.json"), "{").unwrap();
        assert_eq!(UpRecord::read(&layout).unwrap(), UpRecord::default());
    }
}
