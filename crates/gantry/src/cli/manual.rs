//! `gantry completions` and `gantry man`: made from the command line itself, so that they are never out of date.

use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;

use super::{Arguments, Failure};

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gantry completions bash | sudo tee /usr/share/bash-completion/completions/gantry >/dev/null
  gantry completions zsh > ~/.zfunc/_gantry
  gantry completions fish > ~/.config/fish/completions/gantry.fish")]
pub(crate) struct CompletionsArguments {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Print the man page.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gantry man | man -l -
  gantry man | sudo tee /usr/local/share/man/man1/gantry.1 >/dev/null")]
pub(crate) struct ManArguments {}

pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<ExitCode, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut visible(&Arguments::command()), "gantry", &mut text);
    written("printing completions", &text)
}

pub(crate) fn man(_: &ManArguments) -> Result<ExitCode, Failure> {
    let text = page().map_err(|error| Failure::new("printing the man page", error, "write it to a file"))?;
    written("printing the man page", &text)
}

fn written(attempted: &str, text: &[u8]) -> Result<ExitCode, Failure> {
    match std::io::stdout().write_all(text).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(attempted, error, "write it to a file"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Parts of a running server are no commands for people.
fn visible(command: &clap::Command) -> clap::Command {
    let mut shown = clap::Command::new("gantry").version(env!("CARGO_PKG_VERSION")).subcommand_required(true);
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(after) = command.get_after_help() {
        shown = shown.after_help(after.clone());
    }
    shown.subcommands(command.get_subcommands().filter(|each| !each.is_hide_set()).cloned())
}

/// One page with every command: its options stand in a section of its own.
fn page() -> std::io::Result<Vec<u8>> {
    let mut command = visible(&Arguments::command());
    command.build();
    let mut text = Vec::new();
    let main = clap_mangen::Man::new(command.clone()).section("1").manual("Gantry");
    main.render_title(&mut text)?;
    main.render_name_section(&mut text)?;
    main.render_synopsis_section(&mut text)?;
    main.render_description_section(&mut text)?;
    for inner in command.get_subcommands().filter(|each| each.get_name() != "help") {
        section(&mut text, inner, "gantry")?;
    }
    if let Some(after) = command.get_after_help() {
        writeln!(text, ".SH \"EXIT CODES AND EXAMPLE\"\n.nf")?;
        lines(&mut text, &after.to_string())?;
        writeln!(text, ".fi")?;
    }
    Ok(text)
}

fn section(text: &mut Vec<u8>, command: &clap::Command, above: &str) -> std::io::Result<()> {
    let path = format!("{above} {}", command.get_name());
    writeln!(text, ".SH \"{}\"", path.to_uppercase())?;
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        lines(text, &about.to_string())?;
    }
    let man = clap_mangen::Man::new(command.clone());
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    // Sections do not nest: what clap_mangen makes a section is a part of ours.
    let options = String::from_utf8_lossy(&options).replace(".SH OPTIONS", ".SS Options");
    text.extend_from_slice(options.as_bytes());
    if let Some(after) = command.get_after_help() {
        writeln!(text, ".PP\n.nf")?;
        lines(text, &after.to_string())?;
        writeln!(text, ".fi")?;
    }
    for inner in command.get_subcommands().filter(|each| !each.is_hide_set() && each.get_name() != "help") {
        section(text, inner, &path)?;
    }
    Ok(())
}

/// Text as it is: backslashes, hyphens, and lines that begin like a request are none to troff.
fn lines(text: &mut Vec<u8>, plain: &str) -> std::io::Result<()> {
    for line in plain.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        writeln!(text, "{guard}{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_know_every_command_and_no_hidden_one() {
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut visible(&Arguments::command()), "gantry", &mut text);
            let text = String::from_utf8(text).unwrap();
            for command in Arguments::command().get_subcommands() {
                let (name, hidden) = (command.get_name(), command.is_hide_set());
                let is_there =
                    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == name);
                // `node` and `lb` may be words of help; these are not.
                if !hidden || name.contains('-') {
                    assert_eq!(is_there, !hidden, "{shell}: {name}");
                }
            }
        }
    }

    #[test]
    fn bash_reads_its_completions() {
        let mut text = Vec::new();
        clap_complete::generate(
            clap_complete::Shell::Bash,
            &mut visible(&Arguments::command()),
            "gantry",
            &mut text,
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gantry.bash");
        std::fs::write(&path, text).unwrap();
        let script = "source \"$1\" && COMP_WORDS=(gantry imag) COMP_CWORD=1 && _gantry gantry imag gantry && echo ${COMPREPLY[*]}";
        let output =
            std::process::Command::new("bash").args(["-c", script, "bash"]).arg(&path).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "image\n",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    #[test]
    fn the_man_page_has_every_command_and_option() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        let plain = page.replace("\\-", "-").replace("\\fR", "").replace("\\fB", "");
        for command in Arguments::command().get_subcommands().filter(|each| !each.is_hide_set()) {
            let header = format!(".SH \"GANTRY {}\"", command.get_name().to_uppercase());
            assert!(page.contains(&header), "{header}");
            for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(plain.contains(&format!("--{option}")), "{}: --{option}", command.get_name());
            }
        }
        assert!(!page.contains("write-profile"));
    }
}
