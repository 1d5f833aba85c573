//! What shall come up: a template, or a folder of Terraform files.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use gantry_template::Template;
use gantry_template::limits::FETCHED_BODY_BYTES_MAX;

/// Looked for in a folder, in this order.
const TEMPLATES: [&str; 6] =
    ["template.yaml", "template.yml", "template.json", "cloudformation.yaml", "stack.yaml", "gantry.yaml"];
/// A stack's name has at most 128 characters.
const NAME_BYTES_MAX: usize = 128;

#[derive(Debug)]
pub(crate) enum Source {
    Template(Box<TemplateSource>),
    /// A folder with `*.tf` files.
    Terraform(PathBuf),
}

#[derive(Debug)]
pub(crate) struct TemplateSource {
    pub(crate) path: PathBuf,
    /// Where the paths in the template begin.
    pub(crate) folder: PathBuf,
    pub(crate) text: String,
    pub(crate) template: Template,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} has more than {FETCHED_BODY_BYTES_MAX} bytes, or bytes that are no text")]
    NoText { path: PathBuf },
    #[error("{path}: {message}")]
    Template { path: PathBuf, message: String },
    #[error("{0} holds neither a template ({names}) nor Terraform files", names = TEMPLATES.join(", "))]
    Nothing(PathBuf),
}

impl Source {
    pub(crate) fn find(path: &Path) -> Result<Self, SourceError> {
        let read = |source| SourceError::Read { path: path.to_owned(), source };
        let path = path.canonicalize().map_err(read)?;
        if !path.is_dir() {
            return TemplateSource::read(&path).map(|source| Self::Template(Box::new(source)));
        }
        if let Some(template) = TEMPLATES.iter().map(|name| path.join(name)).find(|path| path.is_file()) {
            return TemplateSource::read(&template).map(|source| Self::Template(Box::new(source)));
        }
        let entries = fs::read_dir(&path).map_err(read)?;
        let is_terraform = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.ends_with(".tf") || name.ends_with(".tf.json")
        };
        match entries.filter_map(Result::ok).any(is_terraform) {
            true => Ok(Self::Terraform(path)),
            false => Err(SourceError::Nothing(path)),
        }
    }
}

impl TemplateSource {
    fn read(path: &Path) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Read { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(FETCHED_BODY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        let no_text = || SourceError::NoText { path: path.to_owned() };
        if bytes.len() > FETCHED_BODY_BYTES_MAX {
            return Err(no_text());
        }
        let text = String::from_utf8(bytes).map_err(|_| no_text())?;
        let template = Template::parse(&text, FETCHED_BODY_BYTES_MAX)
            .map_err(|error| SourceError::Template { path: path.to_owned(), message: error.to_string() })?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self { path: path.to_owned(), folder, text, template })
    }

    /// The stack's name unless one is given: the file's, or for a plain `template.yaml` its folder's.
    pub(crate) fn default_name(&self) -> String {
        let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let file = stem(&self.path).unwrap_or_default();
        let is_plain = TEMPLATES.iter().any(|name| Path::new(name).file_stem() == self.path.file_stem());
        let chosen = if is_plain { stem(&self.folder).unwrap_or_default() } else { file };
        stack_name(&chosen)
    }
}

/// A name that CloudFormation takes: letters, digits and hyphens, a letter first.
fn stack_name(text: &str) -> String {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    let name: String = text.chars().map(plain).take(NAME_BYTES_MAX).collect();
    let name = name.trim_matches('-');
    match name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        true => name.to_owned(),
        false => format!("stack-{name}").trim_end_matches('-').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_files_and_folders() {
        for (given, expected) in
            [("web", "web"), ("my_app.v2", "my-app-v2"), ("2048", "stack-2048"), ("-a-", "a"), ("ü", "stack")]
        {
            assert_eq!(stack_name(given), expected);
        }
    }

    #[test]
    fn a_folder_is_a_template_or_terraform_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let shop = folder.path().join("shop");
        fs::create_dir(&shop).unwrap();
        assert!(matches!(Source::find(&shop), Err(SourceError::Nothing(_))));
        fs::write(shop.join("main.tf"), "").unwrap();
        assert!(matches!(Source::find(&shop), Ok(Source::Terraform(_))));
        let text = "Resources: {Cluster: {Type: 'AWS::ECS::Cluster'}}";
        fs::write(shop.join("template.yaml"), text).unwrap();
        match Source::find(&shop) {
            Ok(Source::Template(source)) => assert_eq!(source.default_name(), "shop"),
            other => panic!("{other:?}"),
        }
        fs::write(shop.join("blue.yaml"), text).unwrap();
        match Source::find(&shop.join("blue.yaml")) {
            Ok(Source::Template(source)) => assert_eq!(source.default_name(), "blue"),
            other => panic!("{other:?}"),
        }
        fs::write(shop.join("bad.yaml"), "Resources: 1").unwrap();
        assert!(matches!(Source::find(&shop.join("bad.yaml")), Err(SourceError::Template { .. })));
    }
}
