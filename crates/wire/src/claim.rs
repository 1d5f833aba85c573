//! Whose request it is: service, operation and protocol from method, path, headers and body.
//!
//! The order: CBOR by its header, awsJson by `X-Amz-Target`, Query by `Action`, and last the REST services by the credential
//! scope and the path.

use http::{HeaderMap, Method, Uri};

use crate::form::Form;
use crate::rest::{self, Labels};
use crate::shape::{OperationModel, ServiceModel};
use crate::{ApiError, Protocol, Services};

/// A request that some operation claims.
pub(crate) struct Claim {
    pub(crate) service: &'static ServiceModel,
    pub(crate) operation: &'static OperationModel,
    pub(crate) protocol: Protocol,
    /// The parameters of a Query request.
    pub(crate) form: Form,
    /// What the path's labels stand for, in REST.
    pub(crate) labels: Labels,
}

/// A request that nobody claims, and the form of the answer.
pub(crate) struct Refusal {
    pub(crate) service: Option<&'static ServiceModel>,
    pub(crate) protocol: Protocol,
    pub(crate) error: ApiError,
}

/// What the claims are told by.
pub(crate) struct Clues<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// The service in the credential scope.
    pub(crate) scope_service: Option<&'a str>,
}

/// The protocol that the headers alone speak of, for an answer to a request that is not read at all.
pub(crate) fn spoken(headers: &HeaderMap) -> Protocol {
    if headers.contains_key("smithy-protocol") {
        Protocol::RpcV2Cbor
    } else if headers.contains_key("x-amz-target") {
        Protocol::AwsJson11
    } else if headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(FORM)) {
        Protocol::AwsQuery
    } else {
        Protocol::RestJson
    }
}

const FORM: &[u8] = b"application/x-www-form-urlencoded";

pub(crate) fn claim(services: &Services, clues: &Clues<'_>) -> Result<Claim, Refusal> {
    let header = |name: &str| clues.headers.get(name).and_then(|value| value.to_str().ok());
    if header("smithy-protocol") == Some("rpc-v2-cbor") {
        return cbor(services, clues);
    }
    if let Some(target) = header("x-amz-target") {
        return aws_json(services, target, header("content-type").unwrap_or(""));
    }
    let form_body = header("content-type").is_some_and(|kind| kind.as_bytes().starts_with(FORM));
    let action_in_query =
        clues.uri.query().is_some_and(|query| query.starts_with("Action=") || query.contains("&Action="));
    if action_in_query || form_body && clues.uri.path() == "/" {
        return query(services, clues, form_body);
    }
    rest(services, clues)
}

fn cbor(services: &Services, clues: &Clues<'_>) -> Result<Claim, Refusal> {
    let protocol = Protocol::RpcV2Cbor;
    let refuse = |service, error| Refusal { service, protocol, error };
    let unknown = || ApiError::sender("UnknownOperationException", "").with_status(404);
    let mut parts = clues.uri.path().rsplit('/');
    let (operation, word, prefix, service) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(operation), Some("operation"), Some(prefix), Some("service")) =
        (operation, word, prefix, service)
    else {
        return Err(refuse(None, unknown()));
    };
    if clues.method != Method::POST {
        return Err(refuse(None, ApiError::sender("UnknownOperationException", "").with_status(405)));
    }
    let Some(service) = services.iter().find(|own| own.speaks(protocol) && own.target_prefix == prefix)
    else {
        return Err(refuse(None, unknown()));
    };
    match service.operation(operation) {
        Some(operation) => Ok(Claim::new(service, operation, protocol)),
        None => Err(refuse(Some(service), unserved(service, operation).unwrap_or_else(unknown))),
    }
}

fn aws_json(services: &Services, target: &str, content_type: &str) -> Result<Claim, Refusal> {
    let asked = if content_type.starts_with("application/x-amz-json-1.0") {
        Protocol::AwsJson10
    } else {
        Protocol::AwsJson11
    };
    let unknown = || ApiError::sender("UnknownOperationException", "");
    let (prefix, operation) = target.rsplit_once('.').unwrap_or(("", target));
    let service = services.iter().find(|own| {
        own.target_prefix == prefix && own.protocols.iter().any(|protocol| protocol.is_aws_json())
    });
    let Some(service) = service else {
        return Err(Refusal { service: None, protocol: asked, error: unknown() });
    };
    // The answer has the service's own version, whichever was asked.
    let protocol = service.protocols.iter().copied().find(|protocol| protocol.is_aws_json()).unwrap_or(asked);
    match service.operation(operation) {
        Some(operation) => Ok(Claim::new(service, operation, protocol)),
        None => {
            let error = unserved(service, operation).unwrap_or_else(unknown);
            Err(Refusal { service: Some(service), protocol, error })
        }
    }
}

fn query(services: &Services, clues: &Clues<'_>, form_body: bool) -> Result<Claim, Refusal> {
    let refuse = |service: Option<&'static ServiceModel>, error| {
        let protocol = service.map_or(Protocol::AwsQuery, query_protocol);
        Refusal { service, protocol, error }
    };
    let mut form = Form::default();
    let parsed = form
        .extend(clues.uri.query().unwrap_or("").as_bytes())
        .and_then(|()| if form_body { form.extend(clues.body) } else { Ok(()) });
    let scoped = || {
        let mut spoken =
            services.iter().filter(|own| own.protocols.iter().any(|protocol| protocol.is_query()));
        spoken.find(|own| Some(own.signing_name) == clues.scope_service)
    };
    if let Err(error) = parsed {
        let message = format!("The query string contains a syntax error: {}", error.problem);
        return Err(refuse(scoped(), ApiError::sender("MalformedQueryString", message)));
    }
    let version = form.get("Version");
    let Some(action) = form.get("Action") else {
        let message = "The request must contain the parameter Action";
        return Err(refuse(scoped(), ApiError::sender("MissingAction", message)));
    };
    let Some(service) = query_service(services, version, clues.scope_service) else {
        return Err(refuse(scoped(), could_not_find(action, version)));
    };
    match service.operation(action) {
        Some(operation) => Ok(Claim { form, ..Claim::new(service, operation, query_protocol(service)) }),
        None => {
            let error = unserved(service, action).unwrap_or_else(|| unknown_action(service, action, version));
            Err(refuse(Some(service), error))
        }
    }
}

/// The version tells services apart that share a name in the scope (both generations of load balancers); where it is
/// missing, the scope has to do.
fn query_service(
    services: &Services,
    version: Option<&str>,
    scope: Option<&str>,
) -> Option<&'static ServiceModel> {
    let mut candidates =
        services.iter().filter(|own| own.protocols.iter().any(|protocol| protocol.is_query()));
    candidates.find(|own| {
        let of_scope = scope.is_none_or(|scope| own.signing_name == scope);
        of_scope && version.map_or(scope.is_some(), |version| own.api_version == version)
    })
}

fn query_protocol(service: &ServiceModel) -> Protocol {
    service.protocols.iter().copied().find(|protocol| protocol.is_query()).unwrap_or(Protocol::AwsQuery)
}

fn unknown_action(service: &ServiceModel, action: &str, version: Option<&str>) -> ApiError {
    if service.speaks(Protocol::Ec2Query) {
        let message = format!("The action {action} is not valid for this web service.");
        return ApiError::sender("InvalidAction", message);
    }
    could_not_find(action, version.or(Some(service.api_version)))
}

fn could_not_find(action: &str, version: Option<&str>) -> ApiError {
    let version = version.unwrap_or("NO_VERSION_SPECIFIED");
    ApiError::sender("InvalidAction", format!("Could not find operation {action} for version {version}"))
}

fn rest(services: &Services, clues: &Clues<'_>) -> Result<Claim, Refusal> {
    let candidates = services.iter().filter(|own| {
        let spoken = own.protocols.iter().any(|protocol| protocol.is_rest());
        spoken && clues.scope_service.is_none_or(|scope| own.signing_name == scope)
    });
    let mut known = None;
    for service in candidates {
        let protocol = service.protocols.iter().copied().find(|protocol| protocol.is_rest());
        let protocol = protocol.unwrap_or(Protocol::RestJson);
        if let Some((operation, labels)) = rest::route(service, clues.method, clues.uri) {
            return Ok(Claim { labels, ..Claim::new(service, operation, protocol) });
        }
        known.get_or_insert((service, protocol));
    }
    let message = format!("No operation answers {} {}", clues.method, clues.uri.path());
    let error = ApiError::sender("UnknownOperationException", message).with_status(404);
    let (service, protocol) =
        known.map_or((None, Protocol::RestJson), |(service, protocol)| (Some(service), protocol));
    Err(Refusal { service, protocol, error })
}

fn unserved(service: &ServiceModel, operation: &str) -> Option<ApiError> {
    service.is_unserved(operation).then(|| ApiError::not_implemented(service.name, operation))
}

impl Claim {
    fn new(service: &'static ServiceModel, operation: &'static OperationModel, protocol: Protocol) -> Self {
        Self { service, operation, protocol, form: Form::default(), labels: Labels::default() }
    }
}
