//! An installation without a socket: the services on the real store, whose disk is in memory and can be made to wait.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use gantry_api::{ApiError, CallContext};
use gantry_domain::network::Cidr;
use gantry_domain::{Change, View};
use gantry_services::{Context, RootKey, Services, Settings};
use gantry_store::fault::FaultyDisk;
use gantry_store::{Database, Disk, Options};
use gantry_telemetry::logs::{Limits, LogStore};
use gantry_types::{Ids, Region, Timestamp, Value};
use gantry_wire::Principal;
use redb::{Builder, DatabaseError, StorageBackend};
use serde_json::{Value as Json, json};

const NOW_MILLIS: i64 = 1_750_000_000_000;
/// A commit that waits longer than this behind a closed gate fails its test.
const GATE_WAIT_MAX: Duration = Duration::from_secs(30);

pub(crate) struct World {
    services: Services,
    database: Database,
    gate: Gate,
    pub(crate) now: Timestamp,
    pub(crate) region: &'static str,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let gate = Gate::default();
        let disk = GatedDisk { disk: FaultyDisk::new(1), gate: gate.clone() };
        let database = Database::open(disk, Options::default()).unwrap();
        let settings = Settings {
            dns_suffix: "localhost".to_owned(),
            load_balancer_range: Cidr::parse("127.64.0.0/10").unwrap(),
            account_created_at: Timestamp::from_millis(NOW_MILLIS - 86_400_000),
        };
        let root = RootKey { access_key_id: "AKIAROOT".to_owned(), secret_access_key: "secret".to_owned() };
        let folder = tempfile::tempdir().unwrap();
        let log_store = LogStore::open(folder.path(), Limits::default()).unwrap();
        let context = Arc::new(Context::new(database.clone(), log_store, Ids::from_seed(7), root, settings));
        Self {
            services: Services::new(context),
            database,
            gate,
            now: Timestamp::from_millis(NOW_MILLIS),
            region: "us-east-1",
            _folder: folder,
        }
    }

    /// Calls an operation, `ecs CreateCluster`, with members by their model names.
    pub(crate) async fn call(&self, operation: &str, input: Json) -> Result<Json, ApiError> {
        self.call_with(operation, to_value(&input)).await.map(|output| to_json(&output))
    }

    pub(crate) async fn call_with(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let call = self.context(operation, input);
        self.services.handle(&call).await
    }

    /// Calls an operation that has to succeed.
    #[track_caller]
    pub(crate) fn ok(&self, operation: &str, input: Json) -> impl Future<Output = Json> {
        let caller = std::panic::Location::caller();
        async move {
            let shown = input.to_string();
            match self.call(operation, input).await {
                Ok(output) => output,
                Err(error) => panic!("{caller}: {operation} {shown}: {error}"),
            }
        }
    }

    /// Calls an operation that has to be refused with this code and words of this text.
    #[track_caller]
    pub(crate) fn refuses(
        &self,
        operation: &str,
        input: Json,
        code: &str,
        wording: &str,
    ) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let shown = input.to_string();
            match self.call(operation, input).await {
                Ok(output) => panic!("{caller}: {operation} {shown} was accepted: {output}"),
                Err(error) => assert!(
                    error.code == code && error.message.contains(wording),
                    "{caller}: {operation} {shown}: {error}; expected {code}: {wording}"
                ),
            }
        }
    }

    /// Every row is refused, as [`World::refuses`].
    #[track_caller]
    pub(crate) fn refuses_all<'a>(
        &'a self,
        operation: &'a str,
        rows: impl IntoIterator<Item = (Json, &'a str, &'a str)>,
    ) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            for (input, code, wording) in rows {
                let shown = input.to_string();
                match self.call(operation, input).await {
                    Ok(output) => panic!("{caller}: {operation} {shown} was accepted: {output}"),
                    Err(error) => assert!(
                        error.code == code && error.message.contains(wording),
                        "{caller}: {operation} {shown}: {error}; expected {code}: {wording}"
                    ),
                }
            }
        }
    }

    /// Two calls that both decide before either is committed.
    pub(crate) async fn together(
        &self,
        first: (&str, Json),
        second: (&str, Json),
    ) -> (Result<Json, ApiError>, Result<Json, ApiError>) {
        // What a region begins with must not be what the two meet at.
        self.ok("ec2 DescribeVpcs", json!({})).await;
        self.gate.close();
        let open = async { self.gate.open() };
        let (first, second, ()) =
            tokio::join!(biased; self.call(first.0, first.1), self.call(second.0, second.1), open);
        (first, second)
    }

    /// As many calls as there are inputs, all of which decide before any is committed.
    pub(crate) async fn all_together(&self, calls: Vec<(&str, Json)>) -> Vec<Result<Json, ApiError>> {
        let calls = calls.into_iter().map(|(name, input)| (name, to_value(&input))).collect();
        let outcomes = self.all_together_with(calls).await;
        outcomes.into_iter().map(|outcome| outcome.map(|output| to_json(&output))).collect()
    }

    pub(crate) async fn all_together_with(&self, calls: Vec<(&str, Value)>) -> Vec<Result<Value, ApiError>> {
        // What a region begins with must not be what they meet at.
        self.ok("ec2 DescribeVpcs", json!({})).await;
        self.gate.close();
        let mut running: Vec<_> =
            calls.into_iter().map(|(name, input)| Box::pin(self.call_with(name, input))).collect();
        let mut outcomes: Vec<Option<Result<Value, ApiError>>> = running.iter().map(|_| None).collect();
        std::future::poll_fn(|context| {
            for (call, outcome) in running.iter_mut().zip(&mut outcomes) {
                if outcome.is_none()
                    && let std::task::Poll::Ready(ready) = call.as_mut().poll(context)
                {
                    *outcome = Some(ready);
                }
            }
            self.gate.open();
            if outcomes.iter().all(Option::is_some) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        outcomes.into_iter().flatten().collect()
    }

    /// The same call twice, as the first ones of their region.
    pub(crate) async fn first_together(&self, operation: &str, input: Json) -> [Json; 2] {
        self.gate.close();
        let open = async { self.gate.open() };
        let call = || self.call(operation, input.clone());
        let (first, second, ()) = tokio::join!(biased; call(), call(), open);
        [first.unwrap(), second.unwrap()]
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(&self.database.view())
    }

    /// Does what the control loop would do.
    pub(crate) async fn commit(&self, changes: Vec<Change>) {
        self.database.commit(changes).await.unwrap();
    }

    pub(crate) fn later(&mut self, by: Duration) {
        self.now = self.now + by;
    }

    fn context(&self, operation: &str, input: Value) -> CallContext {
        let (service, operation) = operation.split_once(' ').expect("a service and an operation");
        let service = gantry_api::SERVICES.iter().find(|each| each.name == service).expect("a known service");
        CallContext {
            service,
            operation: service.operation(operation).expect("a served operation"),
            protocol: service.protocols[0],
            region: Region::new(self.region),
            request_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            now: self.now,
            access_key: "AKIAROOT".to_owned(),
            principal: Principal::root(),
            input,
            query_mode: false,
        }
    }

    /// The default VPC's id, its subnets in the order of their zones, and its default group.
    pub(crate) async fn default_network(&self) -> (String, Vec<String>, String) {
        let filters = json!([{"Name": "isDefault", "Values": ["true"]}]);
        let vpc = self.ok("ec2 DescribeVpcs", json!({"Filters": filters})).await["Vpcs"][0]["VpcId"].text();
        let filters = json!([{"Name": "vpc-id", "Values": [vpc]}]);
        let found = self.ok("ec2 DescribeSubnets", json!({"Filters": filters})).await;
        let mut subnets: Vec<(String, String)> = found["Subnets"]
            .list()
            .iter()
            .map(|subnet| (subnet["AvailabilityZone"].text(), subnet["SubnetId"].text()))
            .collect();
        subnets.sort();
        let found = self.ok("ec2 DescribeSecurityGroups", json!({"Filters": filters})).await;
        let group = found["SecurityGroups"][0]["GroupId"].text();
        (vpc, subnets.into_iter().map(|(_, id)| id).collect(), group)
    }
}

/// Reading answers without ceremony; what is not there fails the test.
pub(crate) trait Answer {
    fn text(&self) -> String;
    fn list(&self) -> &[Json];
    /// A member of each element of a list.
    fn each(&self, member: &str) -> Vec<String>;
}

impl Answer for Json {
    #[track_caller]
    fn text(&self) -> String {
        self.as_str().unwrap_or_else(|| panic!("{self} is no text")).to_owned()
    }
    #[track_caller]
    fn list(&self) -> &[Json] {
        self.as_array().unwrap_or_else(|| panic!("{self} is no list"))
    }
    #[track_caller]
    fn each(&self, member: &str) -> Vec<String> {
        self.list().iter().map(|each| each[member].text()).collect()
    }
}

pub(crate) fn to_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::Float(number.as_f64().expect("a number of ours")), Value::Int),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(to_value).collect()),
        Json::Object(members) => {
            Value::Map(members.iter().map(|(name, value)| (name.clone(), to_value(value))).collect())
        }
    }
}

pub(crate) fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => json!(truth),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::String(text) => json!(text),
        Value::Blob(bytes) => json!(bytes),
        Value::Timestamp(at) => json!(at.millis()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(members) => {
            Json::Object(members.iter().map(|(name, value)| (name.clone(), to_json(value))).collect())
        }
    }
}

/// While it is closed, no commit becomes durable.
#[derive(Debug, Clone, Default)]
struct Gate {
    closed: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    fn close(&self) {
        *self.closed.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
    fn open(&self) {
        *self.closed.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.closed.1.notify_all();
    }
    fn pass(&self) -> io::Result<()> {
        let closed = self.closed.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_closed, waited) = self
            .closed
            .1
            .wait_timeout_while(closed, GATE_WAIT_MAX, |closed| *closed)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() { Err(io::Error::other("the gate stayed closed")) } else { Ok(()) }
    }
}

#[derive(Debug, Clone)]
struct GatedDisk {
    disk: FaultyDisk,
    gate: Gate,
}

impl Disk for GatedDisk {
    fn open(&self, builder: &Builder) -> Result<redb::Database, DatabaseError> {
        builder.create_with_backend(self.clone())
    }
    fn has_room(&self) -> io::Result<bool> {
        self.disk.has_room()
    }
}

impl StorageBackend for GatedDisk {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass()?;
        self.disk.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write(offset, data)
    }
}
