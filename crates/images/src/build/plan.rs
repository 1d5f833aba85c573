//! From instructions to stages: what each is based on, and which of them the wanted one needs.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{BuildError, at_line};
use super::instruction::{self, Instruction};
use super::lines::{Line, Lines};
use super::words;
use crate::document::Platform;

#[derive(Debug)]
pub(super) struct Stage {
    /// Of its FROM.
    pub(super) line: Line,
    pub(super) name: Option<String>,
    pub(super) base: Base,
    pub(super) instructions: Vec<(Line, Instruction)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Scratch,
    Stage(usize),
    Image(String),
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) stages: Vec<Stage>,
    /// ARGs in front of the first FROM, and what is known of the platform.
    pub(super) globals: BTreeMap<String, String>,
    /// Build arguments that a global ARG took.
    pub(super) used: BTreeSet<String>,
}

pub(super) fn plan(lines: Lines, build_args: &BTreeMap<String, String>) -> Result<Plan, BuildError> {
    let escape = lines.escape;
    let mut plan = Plan { stages: Vec::new(), globals: platform_arguments(), used: BTreeSet::new() };
    for line in lines.lines {
        let fail = |message: String| at_line(line.number, message);
        let instruction = instruction::parse(&line, escape)?;
        let (image, platform, name) = match (instruction, plan.stages.last_mut()) {
            (Instruction::From { image, platform, name }, _) => (image, platform, name),
            (Instruction::Arg(arguments), None) => {
                for (name, default) in arguments {
                    plan.global(&name, default.as_deref(), escape, build_args).map_err(fail)?;
                }
                continue;
            }
            (_, None) => return Err(fail(format!("{} stands in front of the first FROM", line.keyword))),
            (instruction, Some(stage)) => {
                stage.instructions.push((line, instruction));
                continue;
            }
        };
        let expand = |text: &str| words::expand(text, escape, &|name| plan.globals.get(name).cloned());
        if let Some(platform) = platform {
            let platform = expand(&platform).map_err(fail)?;
            check_platform(&platform).map_err(fail)?;
        }
        let image = expand(&image).map_err(fail)?;
        if image.is_empty() {
            return Err(fail(format!("the image {:?} is empty when its variables are replaced", line.rest)));
        }
        let base = match plan.stage(&image) {
            Some(stage) => Base::Stage(stage),
            None if image == "scratch" => Base::Scratch,
            None => Base::Image(image),
        };
        plan.stages.push(Stage { line, name, base, instructions: Vec::new() });
    }
    if plan.stages.is_empty() { Err(BuildError::Empty) } else { Ok(plan) }
}

impl Plan {
    fn global(
        &mut self,
        name: &str,
        default: Option<&str>,
        escape: char,
        build_args: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let value = match build_args.get(name) {
            Some(value) => {
                self.used.insert(name.to_owned());
                Some(value.clone())
            }
            None => default
                .map(|default| words::expand(default, escape, &|name| self.globals.get(name).cloned()))
                .transpose()?,
        };
        if let Some(value) = value {
            self.globals.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// The last stage of that name; names know no case.
    pub(super) fn stage(&self, name: &str) -> Option<usize> {
        let name = name.to_ascii_lowercase();
        self.stages.iter().rposition(|stage| stage.name.as_ref() == Some(&name))
    }

    /// What `COPY --from` means in a stage: one before it, by name or number, or an image.
    pub(super) fn source(&self, in_stage: usize, from: &str) -> Result<Base, String> {
        let by_number = from.parse::<usize>().ok();
        match self.stage(from).or(by_number) {
            Some(stage) if stage < in_stage => Ok(Base::Stage(stage)),
            Some(_) => Err(format!("--from={from} is not a stage in front of this one")),
            None if from == "scratch" => Err("scratch is empty; nothing can be copied from it".into()),
            None => Ok(Base::Image(from.to_owned())),
        }
    }

    /// The stage to build: by name or number, the last by default.
    pub(super) fn target(&self, target: Option<&str>) -> Result<usize, BuildError> {
        let Some(target) = target else { return Ok(self.stages.len() - 1) };
        let by_number = target.parse::<usize>().ok().filter(|number| *number < self.stages.len());
        self.stage(target).or(by_number).ok_or_else(|| BuildError::Target(target.to_owned()))
    }

    /// The stages that one needs, itself included.
    pub(super) fn needed(&self, target: usize) -> Result<BTreeSet<usize>, BuildError> {
        let mut needed = BTreeSet::new();
        let mut pending = vec![target];
        while let Some(number) = pending.pop() {
            if !needed.insert(number) {
                continue;
            }
            let stage = &self.stages[number];
            if let Base::Stage(base) = stage.base {
                pending.push(base);
            }
            for (line, instruction) in &stage.instructions {
                if let Instruction::Copy(transfer) = instruction
                    && let Some(from) = &transfer.from
                    && let Base::Stage(source) =
                        self.source(number, from).map_err(|message| at_line(line.number, message))?
                {
                    pending.push(source);
                }
            }
        }
        Ok(needed)
    }
}

/// Known without an ARG in front of FROM, and after `ARG NAME` in a stage.
fn platform_arguments() -> BTreeMap<String, String> {
    let host = Platform::host();
    let mut arguments = BTreeMap::new();
    for side in ["BUILD", "TARGET"] {
        arguments.insert(format!("{side}PLATFORM"), host.to_string());
        arguments.insert(format!("{side}OS"), host.os.clone());
        arguments.insert(format!("{side}ARCH"), host.architecture.clone());
        arguments.insert(format!("{side}VARIANT"), String::new());
    }
    arguments
}

fn check_platform(platform: &str) -> Result<(), String> {
    let host = Platform::host();
    let mut parts = platform.split('/');
    let same = parts.next() == Some(host.os.as_str()) && parts.next() == Some(host.architecture.as_str());
    if same { Ok(()) } else { Err(format!("platform {platform:?} is not this machine's, which is {host}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn read(text: &str) -> Result<Plan, BuildError> {
        let build_args = BTreeMap::from([("V".to_owned(), "given".to_owned())]);
        plan(super::super::lines::parse(text, &Limits::default())?, &build_args)
    }

    #[test]
    fn stages_know_what_they_are_based_on() {
        let text = "ARG V=1\nARG W=${V}-x\nARG NONE\nFROM a:$V AS One\nFROM a:$W$NONE AS two\n\
                    FROM one\nFROM scratch AS last\nFROM ${NONE:-scratch}";
        let plan = read(text).unwrap();
        let bases: Vec<_> = plan.stages.iter().map(|stage| stage.base.clone()).collect();
        let image = |name: &str| Base::Image(name.into());
        let expected = [image("a:given"), image("a:given-x"), Base::Stage(0), Base::Scratch, Base::Scratch];
        assert_eq!(bases, expected);
        assert_eq!(plan.used, BTreeSet::from(["V".to_owned()]));
        assert_eq!(plan.target(None).unwrap(), 4);
        assert_eq!(plan.target(Some("ONE")).unwrap(), 0);
        assert_eq!(plan.target(Some("2")).unwrap(), 2);
        assert!(matches!(plan.target(Some("five")), Err(BuildError::Target(_))));
        assert!(matches!(plan.target(Some("5")), Err(BuildError::Target(_))));
    }

    #[test]
    fn only_the_stages_that_are_needed_count() {
        let text = "FROM scratch AS a\nRUN x\nFROM scratch AS b\nFROM a AS c\nFROM scratch\n\
                    COPY --from=b / /\nCOPY --from=some/image / /\nFROM scratch\nCOPY --from=2 / /";
        let plan = read(text).unwrap();
        assert_eq!(plan.needed(3).unwrap(), BTreeSet::from([1, 3]));
        assert_eq!(plan.needed(4).unwrap(), BTreeSet::from([0, 2, 4]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        #[rustfmt::skip]
        let table = [
            ("", "the Dockerfile has no FROM"), ("ARG a=1", "has no FROM"),
            ("ENV a=1\nFROM a", "line 1: ENV stands in front"), ("FROM $NONE", "line 1: the image \"$NONE\" is empty"),
            ("FROM ${A", "line 1: } is missing"), ("\nFROM --platform=linux/s390x a", "line 2: platform"),
            ("FROM a AS b\nCOPY --from=b x y", "line 2: --from=b is not a stage in front"),
            ("FROM a\nCOPY --from=1 x y", "line 2: --from=1 is not"), ("FROM a\nCOPY --from=scratch x y", "empty"),
        ];
        for (text, expected) in table {
            let error =
                read(text).and_then(|plan| plan.needed(plan.target(None)?)).expect_err(text).to_string();
            assert!(error.contains(expected), "{text:?} gives: {error}");
        }
        let host = Platform::host();
        assert!(read(&format!("FROM --platform={host} a\nFROM --platform=$TARGETPLATFORM b")).is_ok());
    }
}
