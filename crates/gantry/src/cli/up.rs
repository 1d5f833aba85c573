//! `gantry up`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Failure, StateDirArgument};
use crate::client::Client;
use crate::layout::Layout;
use crate::up::deploy::{self, Deployed, Request};
use crate::up::document::{list, text};
use crate::up::follow::{self, Wish};
use crate::up::record::StackRecord;
use crate::up::screen::{Screen, Tone};
use crate::up::source::{Source, TemplateSource};
use crate::up::terraform::{self, TerraformOptions};
use crate::up::{down, images, reach, server, stack};

/// Bring a CloudFormation template or a folder of Terraform files up on this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Starts a server if none runs, builds the images that the template names under Metadata: Gantry: Build:, shows the plan,
deploys it, and prints outputs and address. Run it again with a changed template: the stack is updated. Then it follows
events and logs until Ctrl-C, if this is a terminal. `gantry down` removes all of it.

Examples:
  sudo gantry up
  sudo gantry up template.yaml --parameter DesiredCount=2
  sudo gantry up ./infrastructure              # Terraform")]
pub(crate) struct UpArguments {
    #[command(flatten)]
    state_dir: StateDirArgument,
    /// A template, or a folder with a template.yaml or *.tf files
    #[arg(default_value = ".")]
    source: PathBuf,
    /// The stack's name [default: the template's file or folder name]
    #[arg(long, value_name = "NAME")]
    stack_name: Option<String>,
    /// A value for a parameter (or a Terraform variable); may be repeated
    #[arg(long = "parameter", short, value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// A tag on the stack and all its resources; may be repeated
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
    /// The region [default: the server's]
    #[arg(long, env = "AWS_REGION")]
    region: Option<String>,
    /// Show the plan and stop
    #[arg(long)]
    plan: bool,
    /// Return when everything is up, also at a terminal
    #[arg(long, short, conflicts_with = "follow")]
    detach: bool,
    /// Follow events and logs, also without a terminal
    #[arg(long)]
    follow: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

pub(crate) fn run(arguments: &UpArguments) -> Result<ExitCode, Failure> {
    // Mistakes in what was given are told before anything is started.
    let source = Source::find(&arguments.source).map_err(|error| {
        Failure::new(
            format!("reading {}", arguments.source.display()),
            error,
            "name a CloudFormation template, or a folder with one or with Terraform files",
        )
    })?;
    let layout = super::layout(arguments.state_dir.state_dir.clone())?;
    super::block_on(bring_up(arguments, &source, &layout))?
}

async fn bring_up(arguments: &UpArguments, source: &Source, layout: &Layout) -> Result<ExitCode, Failure> {
    let mut screen = Screen::new();
    let client = server::ensure(layout, &mut screen).await?;
    let client = match &arguments.region {
        Some(region) => client.in_region(region),
        None => client,
    };
    match source {
        Source::Template(source) => stack_up(arguments, source, layout, &client, &mut screen).await,
        Source::Terraform(folder) => {
            let options =
                TerraformOptions { variables: arguments.parameters.clone(), plan_only: arguments.plan };
            down::keep_terraform(layout, folder, &client.profile().region)?;
            terraform::up(folder, &client, &mut screen, &options).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn stack_up(
    arguments: &UpArguments,
    source: &TemplateSource,
    layout: &Layout,
    client: &Client,
    screen: &mut Screen,
) -> Result<ExitCode, Failure> {
    let name = arguments.stack_name.clone().unwrap_or_else(|| source.default_name());
    let region = client.profile().region.clone();
    let builds = images::builds(source, &region).map_err(|error| {
        Failure::new(format!("reading {}", source.path.display()), error, "correct the template")
    })?;
    let request = Request { stack: &name, source, parameters: &arguments.parameters, tags: &arguments.tags };
    let plan = deploy::plan(client, &request, screen).await?;
    match &plan {
        Some(plan) => deploy::show(plan, screen),
        None => screen.step("plan", &format!("{name} is as the template says")),
    }
    if arguments.plan {
        return Ok(ExitCode::SUCCESS);
    }
    images::make(&builds, source, layout, screen)?;
    down::keep_stack(layout, &name, StackRecord { region, template: source.path.clone() })?;
    let deployed = match &plan {
        Some(plan) => deploy::execute(client, &request, plan, screen).await?,
        None => Deployed::Unchanged,
    };
    if let Deployed::Failed(cause) = deployed {
        let next = match plan.is_some_and(|plan| plan.is_new) {
            true => {
                "correct it and run `gantry up` again, which removes what is left first; `gantry down` removes it now"
            }
            false => "correct it and run `gantry up` again; what ran before runs on",
        };
        return Err(Failure::new(format!("deploying {name}"), cause, next));
    }
    tell(client, &name, screen).await?;
    let at_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    if arguments.follow || (at_terminal && !arguments.detach) {
        match follow::follow(client, &name, screen).await {
            Wish::Leave => {
                screen.step("left", &format!("{name} runs on; `gantry down {name}` removes it"));
            }
            Wish::TakeDown => super::down::take_down(layout, Some(&name), screen).await?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Outputs, the first answer, and what to do next.
async fn tell(client: &Client, name: &str, screen: &mut Screen) -> Result<(), Failure> {
    let failed =
        |error| Failure::new(format!("reading the outputs of {name}"), error, "run `gantry up` again");
    let found = stack::describe(client, name).await.map_err(failed)?.unwrap_or_default();
    for url in reach::addresses(client, name).await.map_err(failed)? {
        reach::first_answer(&url, screen).await;
        screen.step("url", &url);
    }
    let outputs = list(&found, "Outputs");
    if !outputs.is_empty() {
        screen.step("outputs", "");
        let width = outputs.iter().map(|output| text(output, "OutputKey").len()).max().unwrap_or(0);
        for output in outputs {
            let (key, value) = (text(output, "OutputKey"), text(output, "OutputValue"));
            screen.line(Tone::Plain, &format!("{key:width$}  {value}"));
        }
    }
    screen.step("aws", "eval $(gantry env)   # then the AWS CLI, SDKs and Terraform talk to this machine");
    Ok(())
}
