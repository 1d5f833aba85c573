//! `gantry forward`: a port of a task, on this machine.

use std::io;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gantry_node::local::Client;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use super::{Failure, StateDirArgument, inside};

/// Connections at the same time; who comes later waits.
const CONNECTIONS_MAX: usize = 256;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Reach a port of a task from this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
TASK is a task's id, the beginning of one, its ARN, or the name of a service or family that has one task here.
Connections are made inside the task's own network, so no security group is asked, and a program that listens on the task's
loopback alone is reached too. Ctrl-C ends it.

Examples:
  sudo gantry forward web 8000
  sudo gantry forward 3f2a 5432:15432 --container db")]
pub(crate) struct ForwardArguments {
    #[command(flatten)]
    state_dir: StateDirArgument,
    /// The container [default: the task's first essential one]; it matters where containers have networks of their own
    #[arg(long, short, value_name = "NAME")]
    container: Option<String>,
    task: String,
    /// The task's port, and the one here [default: the same]; 0 takes a free one
    #[arg(value_name = "PORT[:LOCAL]", value_parser = ports)]
    port: (u16, u16),
}

const ATTEMPTED: &str = "forwarding a port of a task";

fn ports(text: &str) -> Result<(u16, u16), String> {
    let (port, local) = text.split_once(':').unwrap_or((text, text));
    let number = |text: &str| text.parse().map_err(|_| format!("'{text}' is no port"));
    match (number(port)?, number(local)?) {
        (0, _) => Err("a task's port is a number from 1 to 65535".to_owned()),
        ports => Ok(ports),
    }
}

pub(crate) fn run(arguments: &ForwardArguments) -> Result<ExitCode, Failure> {
    let meant =
        inside::find(&arguments.state_dir, ATTEMPTED, &arguments.task, arguments.container.as_deref())?;
    let (port, local) = arguments.port;
    let failed = |error: &dyn std::fmt::Display| Failure::new(ATTEMPTED, error, "see `gantry doctor`");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, local)).await.map_err(|error| {
            let next = format!("name another port of this machine, for example {port}:0 for a free one");
            Failure::new(format!("listening on port {local} of the loopback"), error, next)
        })?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        println!(
            "{address} leads to port {port} of {} in task {}; Ctrl-C ends it",
            meant.container.name, meant.task.id
        );
        let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| failed(&error))?;
        let mut terminated = signal(SignalKind::terminate()).map_err(|error| failed(&error))?;
        tokio::select! {
            () = serve(listener, meant.client, meant.container.id, port) => {}
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn serve(listener: TcpListener, client: Client, container: String, port: u16) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("accepting a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (client, container) = (client.clone(), container.clone());
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = forward(stream, client, container, port).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn forward(mut near: TcpStream, client: Client, container: String, port: u16) -> Result<(), String> {
    let connected = tokio::task::spawn_blocking(move || client.connect(&container, port)).await;
    let connected = connected.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let far = || -> io::Result<TcpStream> {
        connected.set_nonblocking(true)?;
        TcpStream::from_std(connected)
    };
    let mut far = far().map_err(|error| error.to_string())?;
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    // A side that breaks off is no news to who did it.
    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_the_tasks_and_then_ours() {
        for (text, expected) in [
            ("80", Ok((80, 80))),
            ("80:8080", Ok((80, 8080))),
            ("80:0", Ok((80, 0))),
            ("0", Err("a task's port is a number from 1 to 65535")),
            ("http", Err("'http' is no port")),
            ("80:", Err("'' is no port")),
            ("65536", Err("'65536' is no port")),
        ] {
            assert_eq!(ports(text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
