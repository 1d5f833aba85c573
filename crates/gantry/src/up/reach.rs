//! Where a stack answers, and the first answer.

use std::time::{Duration, Instant};

use gantry_types::Value;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};

use super::document::{list, number, one, text};
use super::screen::{Screen, Tone, seconds};
use super::stack;
use crate::client::{CallError, Client};
use crate::load::Target;

const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
const REQUEST_WAIT_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// The addresses of a stack's load balancers that people reach, a line for each HTTP listener.
pub(crate) async fn addresses(client: &Client, name: &str) -> Result<Vec<String>, CallError> {
    let mut found = Vec::new();
    for arn in stack::resources(client, name, "AWS::ElasticLoadBalancingV2::LoadBalancer").await? {
        let input = Value::structure([("LoadBalancerArns", one(&arn))]);
        let balancers = client.call("elbv2", "DescribeLoadBalancers", input).await?;
        let Some(balancer) = list(&balancers, "LoadBalancers").first() else { continue };
        if text(balancer, "Scheme") != "internet-facing" {
            continue;
        }
        let input = Value::structure([("LoadBalancerArn", arn.as_str().into())]);
        let listeners = client.call("elbv2", "DescribeListeners", input).await?;
        for listener in list(&listeners, "Listeners").iter().filter(|each| text(each, "Protocol") == "HTTP") {
            let dns_name = text(balancer, "DNSName");
            found.push(match number(listener, "Port") {
                80 => format!("http://{dns_name}/"),
                port => format!("http://{dns_name}:{port}/"),
            });
        }
    }
    Ok(found)
}

/// Asks until something answers, and says what it was.
pub(crate) async fn first_answer(url: &str, screen: &mut Screen) {
    let Ok(target) = Target::parse(url) else { return };
    let give_up = Instant::now() + ANSWER_WAIT_MAX;
    screen.status(&format!("first request: {url}"));
    loop {
        let asked = Instant::now();
        let said = match timeout(REQUEST_WAIT_MAX, ask(&target)).await {
            Ok(Ok(status)) if status.as_u16() < 500 => {
                let tone = if status.is_success() { Tone::Good } else { Tone::Plain };
                screen.clear_status();
                let took = seconds(asked.elapsed());
                screen.line(
                    tone,
                    &format!("{status} from {url} in {took}, {} after the start", seconds(screen.elapsed())),
                );
                return;
            }
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error,
            Err(_) => "no answer in time".to_owned(),
        };
        if Instant::now() >= give_up {
            screen.clear_status();
            screen.line(Tone::Bad, &format!("{url} does not answer well: {said}"));
            return;
        }
        sleep(POLL).await;
    }
}

async fn ask(target: &Target) -> Result<http::StatusCode, String> {
    let stream = target.connect().await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let request = http::Request::get(target.path.clone())
        .header(http::header::HOST, &target.authority)
        .header(http::header::CONNECTION, "close")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    // Read to its end, so that nobody finds a request that was cut off in their log; bounded by the caller's time.
    let mut body = answer.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    connection.abort();
    Ok(status)
}
