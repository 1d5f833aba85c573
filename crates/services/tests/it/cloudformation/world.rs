//! An installation whose engine runs, on a disk that can lose power.

use std::sync::Arc;
use std::time::Duration;

use gantry_api::{ApiError, CallContext};
use gantry_domain::network::Cidr;
use gantry_services::{Context, RootKey, Services, Settings, cloudformation};
use gantry_store::fault::FaultyDisk;
use gantry_store::{Database, Options};
use gantry_telemetry::logs::{Limits, LogStore};
use gantry_types::{Ids, Region, Timestamp};
use gantry_wire::Principal;
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

use crate::world::{to_json, to_value};

/// A stack that takes longer fails its test.
const WAIT_MAX: Duration = Duration::from_secs(30);

pub(super) struct Site {
    pub(super) disk: FaultyDisk,
    database: Database,
    services: Services,
    context: Arc<Context>,
    engine: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Site {
    pub(super) fn new() -> Self {
        Self::on(FaultyDisk::new(1), 7)
    }

    /// Starts on what the disk holds.
    pub(super) fn on(disk: FaultyDisk, seed: u64) -> Self {
        let mut site = Self::idle(disk, seed);
        site.start();
        site
    }

    pub(super) fn start(&mut self) {
        self.engine = Some(tokio::spawn(cloudformation::run(Arc::clone(&self.context))));
    }

    /// The API alone: what it is told waits for the engine.
    pub(super) fn idle(disk: FaultyDisk, seed: u64) -> Self {
        let database = Database::open(disk.clone(), Options::default()).unwrap();
        let settings = Settings {
            dns_suffix: "localhost".to_owned(),
            load_balancer_range: Cidr::parse("127.64.0.0/10").unwrap(),
            account_created_at: Timestamp::from_millis(1_750_000_000_000),
        };
        let root = RootKey { access_key_id: "AKIAROOT".to_owned(), secret_access_key: "secret".to_owned() };
        let folder = tempfile::tempdir().unwrap();
        let log_store = LogStore::open(folder.path(), Limits::default()).unwrap();
        let ids = Ids::from_seed(seed);
        let context = Arc::new(Context::new(database.clone(), log_store, ids, root, settings));
        let services = Services::new(Arc::clone(&context));
        Self { disk, database, services, context, engine: None, _folder: folder }
    }

    /// Ends like a process that is killed: nothing is told, nothing is finished.
    pub(super) async fn kill(self) -> FaultyDisk {
        if let Some(engine) = self.engine {
            engine.abort();
            let _ = engine.await;
        }
        self.disk
    }

    pub(super) async fn call(&self, operation: &str, input: Json) -> Result<Json, ApiError> {
        let (service, operation) = operation.split_once(' ').unwrap_or(("cloudformation", operation));
        let service = gantry_api::SERVICES.iter().find(|each| each.name == service).unwrap();
        let call = CallContext {
            service,
            operation: service.operation(operation).unwrap(),
            protocol: service.protocols[0],
            region: Region::new("us-east-1"),
            request_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            now: Timestamp::now(),
            access_key: "AKIAROOT".to_owned(),
            principal: Principal::root(),
            input: to_value(&input),
            query_mode: false,
        };
        self.services.handle(&call).await.map(|output| to_json(&output))
    }

    #[track_caller]
    pub(super) fn ok(&self, operation: &str, input: Json) -> impl Future<Output = Json> {
        let caller = std::panic::Location::caller();
        async move {
            let outcome = self.call(operation, input).await;
            outcome.unwrap_or_else(|error| panic!("{caller}: {operation}: {error}"))
        }
    }

    #[track_caller]
    pub(super) fn refuses(
        &self,
        operation: &str,
        input: Json,
        code: &str,
        wording: &str,
    ) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            match self.call(operation, input).await {
                Ok(output) => panic!("{caller}: {operation} was accepted: {output}"),
                Err(error) => assert!(
                    error.code == code && error.message.contains(wording),
                    "{caller}: {operation}: {error}; expected {code}: {wording}"
                ),
            }
        }
    }

    pub(super) async fn create(&self, name: &str, template: &str) {
        self.ok("CreateStack", json!({"StackName": name, "TemplateBody": template})).await;
    }
    pub(super) async fn update(&self, name: &str, template: &str) {
        self.ok("UpdateStack", json!({"StackName": name, "TemplateBody": template})).await;
    }

    pub(super) async fn stack(&self, name: &str) -> Json {
        self.ok("DescribeStacks", json!({"StackName": name})).await["Stacks"][0].clone()
    }

    /// Waits until nothing is in progress, and gives the status.
    #[track_caller]
    pub(super) fn settled(&self, name: &str) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            let waited = tokio::time::timeout(WAIT_MAX, self.rest(name)).await;
            match waited {
                Ok(status) => status,
                Err(_) => panic!("{caller}: {name} is still on its way: {:#?}", self.events(name).await),
            }
        }
    }

    async fn rest(&self, name: &str) -> String {
        loop {
            let mut subscription = self.database.subscribe();
            let status = match self.call("DescribeStacks", json!({"StackName": name})).await {
                Ok(found) => found["Stacks"][0]["StackStatus"].as_str().unwrap().to_owned(),
                Err(_) => return "GONE".to_owned(),
            };
            if !status.ends_with("_IN_PROGRESS") || status == "REVIEW_IN_PROGRESS" {
                return status;
            }
            subscription.next().await.unwrap();
        }
    }

    /// Waits until the stack rests or the power is gone.
    pub(super) async fn settled_or_dark(&self, name: &str) {
        let dark = async {
            // The disk tells nobody when its power goes.
            while !self.disk.has_lost_power() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, async {
            tokio::select! {
                _ = self.rest(name) => {}
                () = dark => {}
            }
        })
        .await
        .unwrap();
    }

    /// `logical id STATUS reason`, oldest first.
    pub(super) async fn events(&self, name: &str) -> Vec<String> {
        let found = match self.call("DescribeStackEvents", json!({"StackName": name})).await {
            Ok(found) => found,
            Err(error) => return vec![error.to_string()],
        };
        let text = |event: &Json, member: &str| event[member].as_str().unwrap_or("").to_owned();
        let line = |event: &Json| {
            let (id, status) = (text(event, "LogicalResourceId"), text(event, "ResourceStatus"));
            format!("{id} {status} {}", text(event, "ResourceStatusReason")).trim().to_owned()
        };
        found["StackEvents"].as_array().unwrap().iter().rev().map(line).collect()
    }

    pub(super) async fn physical_id(&self, stack: &str, logical_id: &str) -> String {
        let input = json!({"StackName": stack, "LogicalResourceId": logical_id});
        let found = self.ok("DescribeStackResource", input).await;
        found["StackResourceDetail"]["PhysicalResourceId"].as_str().unwrap().to_owned()
    }

    pub(super) async fn output(&self, stack: &str, key: &str) -> String {
        let outputs = self.stack(stack).await["Outputs"].clone();
        let found = outputs.as_array().unwrap().iter().find(|output| output["OutputKey"] == key);
        found.unwrap_or_else(|| panic!("no output {key}: {outputs}"))["OutputValue"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The VPCs that are not the region's own.
    pub(super) async fn vpcs(&self) -> Vec<String> {
        let filters = json!([{"Name": "isDefault", "Values": ["false"]}]);
        let found = self.ok("ec2 DescribeVpcs", json!({"Filters": filters})).await;
        found["Vpcs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|vpc| vpc["VpcId"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The names of the clusters that are there.
    pub(super) async fn clusters(&self) -> Vec<String> {
        let found = self.ok("ecs ListClusters", json!({})).await;
        let arns = found["clusterArns"].as_array().unwrap().iter();
        arns.map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
    }
}
