//! Listeners.

use gantry_api::elbv2::*;
use gantry_api::{ApiError, CallContext};
use gantry_domain::elb::{Listener as ListenerRecord, ListenerProtocol};
use gantry_domain::{Change, Stored, Versioned, View};
use gantry_types::{Arn, Ids, arn};

use super::catalogue::LISTENERS_MAX;
use super::names::{balancer, given, invalid_marker, listener, page_size, validation};
use super::{actions, tags};
use crate::Decision;
use crate::page::page;
use crate::ties::touch;

fn protocol(given: Option<&str>) -> Result<ListenerProtocol, ApiError> {
    match given {
        Some("HTTP") => Ok(ListenerProtocol::Http),
        Some("HTTPS") => {
            Err(errors::unsupported_protocol_exception("Gantry does not support HTTPS listeners yet"))
        }
        Some(other) => Err(validation(format!(
            "Invalid protocol '{other}': an application load balancer has HTTP and HTTPS listeners"
        ))),
        None => Err(validation("A protocol must be specified")),
    }
}

fn port(given: Option<i32>) -> Result<u16, ApiError> {
    let port = given.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    port.ok_or_else(|| validation("A port between 1 and 65535 must be specified"))
}

/// What only HTTPS listeners have.
fn refuse_encryption(certificates: bool, policy: bool, alpn: bool, mutual: bool) -> Result<(), ApiError> {
    let members = [
        ("Certificates", certificates),
        ("SslPolicy", policy),
        ("AlpnPolicy", alpn),
        ("MutualAuthentication", mutual),
    ];
    match members.into_iter().find(|(_, given)| *given) {
        Some((member, _)) => Err(errors::invalid_configuration_request_exception(format!(
            "{member} cannot be specified for a listener with the protocol HTTP"
        ))),
        None => Ok(()),
    }
}

fn check_port(view: &View, load_balancer: &Arn, port: u16, except: Option<&Arn>) -> Result<(), ApiError> {
    let taken =
        view.listeners_of(load_balancer).any(|other| other.port == port && Some(&other.arn) != except);
    if taken {
        return Err(errors::duplicate_listener_exception(format!(
            "A listener already exists on this port for this load balancer '{load_balancer}'"
        )));
    }
    Ok(())
}

pub(super) fn create(
    view: &View,
    call: &CallContext,
    input: &CreateListenerInput,
    ids: &mut Ids,
) -> Decision<CreateListenerOutput> {
    refuse_encryption(
        input.certificates.as_ref().is_some_and(|list| !list.is_empty()),
        given(&input.ssl_policy).is_some(),
        input.alpn_policy.as_ref().is_some_and(|list| !list.is_empty()),
        input.mutual_authentication.is_some(),
    )?;
    let balancer = balancer(view, call, &input.load_balancer_arn)?;
    let (protocol, port) = (protocol(given(&input.protocol))?, port(input.port)?);
    let (default_actions, mut changes) =
        actions::parse(view, call, balancer.value(), &input.default_actions)?;
    let own: Vec<_> = view.listeners_of(&balancer.arn).collect();
    if let Some(existing) = own.iter().find(|other| other.port == port) {
        if existing.protocol == protocol && existing.default_actions == default_actions {
            return Ok((CreateListenerOutput { listeners: Some(vec![shown(existing.value())]) }, vec![]));
        }
        check_port(view, &balancer.arn, port, None)?;
    }
    if own.len() >= LISTENERS_MAX {
        return Err(errors::too_many_listeners_exception(
            "The maximum number of listeners of this load balancer has been reached",
        ));
    }
    let resource = balancer.arn.resource().trim_start_matches("loadbalancer/");
    let record = ListenerRecord {
        arn: arn(
            "elasticloadbalancing",
            call.region.as_str(),
            &format!("listener/{resource}/{}", ids.hex(16)),
        ),
        load_balancer: balancer.arn.clone(),
        protocol,
        port,
        default_actions,
        attributes: Default::default(),
        document: tags::document(call, input.tags.as_deref())?,
    };
    let output = CreateListenerOutput { listeners: Some(vec![shown(&record)]) };
    // Writing the load balancer again makes two listeners of one port, made at the same time, conflict.
    changes.push(touch(&balancer));
    changes.push(Change::create(record));
    Ok((output, changes))
}

/// The changes that remove a listener with its rules.
pub(super) fn deletion(view: &View, listener: Versioned<'_, ListenerRecord>) -> Vec<Change> {
    let mut changes = vec![Change::delete(listener.value().key(), listener.revision)];
    let rules = view.rules_of(&listener.arn);
    changes.extend(rules.into_iter().map(|rule| Change::delete(rule.value().key(), rule.revision)));
    changes
}

pub(super) fn delete(
    view: &View,
    call: &CallContext,
    input: &DeleteListenerInput,
    _ids: &mut Ids,
) -> Decision<DeleteListenerOutput> {
    Ok((DeleteListenerOutput {}, deletion(view, listener(view, call, &input.listener_arn)?)))
}

pub(super) fn shown(record: &ListenerRecord) -> Listener {
    Listener {
        listener_arn: Some(record.arn.to_string()),
        load_balancer_arn: Some(record.load_balancer.to_string()),
        protocol: Some(record.protocol.to_string()),
        port: Some(i32::from(record.port)),
        default_actions: Some(actions::shown(&record.default_actions)),
        ..Listener::default()
    }
}

pub(super) fn describe(
    view: &View,
    call: &CallContext,
    input: &DescribeListenersInput,
) -> Result<DescribeListenersOutput, ApiError> {
    let wanted: Vec<&ListenerRecord> = match (&input.load_balancer_arn, input.listener_arns.as_deref()) {
        (Some(_), Some(arns)) if !arns.is_empty() => {
            return Err(validation(
                "Listener ARNs and a load balancer ARN cannot be specified at the same time",
            ));
        }
        (Some(arn), _) => {
            let balancer = balancer(view, call, arn)?;
            view.scan::<ListenerRecord>("")
                .map(|each| each.value())
                .filter(|each| each.load_balancer == balancer.arn)
                .collect()
        }
        (None, Some(arns)) if !arns.is_empty() => {
            arns.iter().map(|arn| Ok(listener(view, call, arn)?.value())).collect::<Result<_, ApiError>>()?
        }
        (None, _) => return Err(validation("You must specify either listener ARNs or a load balancer ARN")),
    };
    let size = page_size(input.page_size)?;
    let page = page(wanted, |each| each.arn.to_string(), input.marker.as_deref(), size, invalid_marker)?;
    let listeners = page.items.into_iter().map(shown).collect();
    Ok(DescribeListenersOutput { listeners: Some(listeners), next_marker: page.next })
}

pub(super) fn modify(
    view: &View,
    call: &CallContext,
    input: &ModifyListenerInput,
    _ids: &mut Ids,
) -> Decision<ModifyListenerOutput> {
    refuse_encryption(
        input.certificates.as_ref().is_some_and(|list| !list.is_empty()),
        given(&input.ssl_policy).is_some(),
        input.alpn_policy.as_ref().is_some_and(|list| !list.is_empty()),
        input.mutual_authentication.is_some(),
    )?;
    let found = listener(view, call, &input.listener_arn)?;
    let mut record = found.value().clone();
    let balancer = view.load_balancer(&record.load_balancer).ok_or_else(|| {
        errors::load_balancer_not_found_exception(format!(
            "Load balancer '{}' not found",
            record.load_balancer
        ))
    })?;
    let mut changes = vec![];
    if given(&input.protocol).is_some() {
        record.protocol = protocol(given(&input.protocol))?;
    }
    if input.port.is_some() {
        record.port = port(input.port)?;
        check_port(view, &balancer.arn, record.port, Some(&record.arn))?;
        changes.push(touch(&balancer));
    }
    if let Some(given) = &input.default_actions {
        let (parsed, checks) = actions::parse(view, call, balancer.value(), given)?;
        record.default_actions = parsed;
        changes.extend(checks);
    }
    let output = ModifyListenerOutput { listeners: Some(vec![shown(&record)]) };
    changes.push(Change::update(record, found.revision));
    Ok((output, changes))
}

/// An HTTP listener has no certificates.
pub(super) fn describe_certificates(
    view: &View,
    call: &CallContext,
    input: &DescribeListenerCertificatesInput,
) -> Result<DescribeListenerCertificatesOutput, ApiError> {
    listener(view, call, &input.listener_arn)?;
    Ok(DescribeListenerCertificatesOutput { certificates: Some(vec![]), next_marker: None })
}
