use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use gantry_api::ecs::{self, Cluster, CreateClusterRequest, CreateClusterResponse, Ecs};
use gantry_api::{ApiError, CallContext, FromValue, IntoValue};
use gantry_types::Value;

use crate::golden;

struct Clusters;

impl Ecs for Clusters {
    async fn create_cluster(
        &self,
        call: &CallContext,
        input: CreateClusterRequest,
    ) -> Result<CreateClusterResponse, ApiError> {
        if input.cluster_name.as_deref() == Some("bad") {
            return Err(ecs::errors::client_exception("bad"));
        }
        assert_eq!(call.input.get("clusterName").and_then(Value::as_str), input.cluster_name.as_deref());
        let cluster = Cluster { cluster_name: input.cluster_name, tags: input.tags, ..Cluster::default() };
        Ok(CreateClusterResponse { cluster: Some(cluster) })
    }
}

/// A future that is ready at its first poll.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the handler waits"),
    }
}

#[test]
fn a_call_reaches_its_handler() {
    let call =
        golden::ecs("CreateCluster", r#"{"clusterName":"c","tags":[{"key":"k","value":"v"}]}"#).unwrap();
    let output = at_once(ecs::dispatch(&Clusters, &call)).unwrap();
    let expected = r#"{"cluster":{"clusterName":"c","tags":[{"key":"k","value":"v"}]}}"#;
    assert_eq!(output, serde_json::from_str(expected).unwrap());
    let call = golden::ecs("CreateCluster", r#"{"clusterName":"bad"}"#).unwrap();
    assert_eq!(at_once(ecs::dispatch(&Clusters, &call)).unwrap_err().code, "ClientException");
}

#[test]
fn a_dispatch_may_move_between_threads_and_is_small() {
    fn movable<T: Send>(future: &T) -> usize {
        size_of_val(future)
    }
    let call = golden::ecs("CreateCluster", "{}").unwrap();
    assert!(movable(&ecs::dispatch(&Clusters, &call)) < 1024);
}

#[test]
fn an_operation_without_a_handler_says_so() {
    let call = golden::ecs("DeleteCluster", r#"{"cluster":"c"}"#).unwrap();
    let error = at_once(ecs::dispatch(&Clusters, &call)).unwrap_err();
    assert_eq!((error.status, error.code.as_ref()), (501, "NotImplemented"));
    assert_eq!(error.message, "Gantry does not implement ecs:DeleteCluster yet.");
}

#[test]
fn a_document_becomes_typed_and_back() {
    let json = r#"{"containerDefinitions":[{"name":"web","portMappings":[{"containerPort":80}],"environment":[]}],"family":"f",
                   "tags":[{"key":"k"}],"cpu":"256"}"#;
    let document: Value = serde_json::from_str(json).unwrap();
    let typed = ecs::RegisterTaskDefinitionRequest::from_value(&document).unwrap();
    assert_eq!(typed.family, "f");
    assert_eq!(typed.container_definitions[0].port_mappings.as_ref().unwrap()[0].container_port, Some(80));
    assert_eq!(typed.into_value(), document);
    let wrong: Value =
        serde_json::from_str(r#"{"containerDefinitions":[{"cpu":"x"}],"family":"f"}"#).unwrap();
    let mismatch = ecs::RegisterTaskDefinitionRequest::from_value(&wrong).unwrap_err();
    assert_eq!(mismatch.to_string(), "an integer was expected at 'containerDefinitions.cpu'");
    let absent = ecs::RegisterTaskDefinitionRequest::from_value(&Value::map()).unwrap_err();
    assert_eq!(absent.to_string(), "a value was expected at 'containerDefinitions'");
}
