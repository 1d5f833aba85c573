//! One type per identifier, so that a cluster's name never stands where a service's belongs.

/// Declares string identifiers. Parsing from outside happens at the edge; here a name is taken as it is.
macro_rules! string_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

string_ids! {
    /// An AWS region, for example `us-east-1`. It is whatever the caller signed for.
    Region;
    /// An availability zone, for example `us-east-1a`.
    AvailabilityZone;
    /// An ECS cluster's name.
    ClusterName;
    /// An ECS service's name.
    ServiceName;
    /// An ECS task's id: 32 hexadecimal digits.
    TaskId;
    /// A service deployment's id: `ecs-svc/` and 19 digits.
    DeploymentId;
    /// A container's name inside its task definition.
    ContainerName;
    /// A task definition's family.
    Family;
    /// A machine that runs containers.
    NodeId;
    /// A container instance's id inside its cluster: 32 hexadecimal digits.
    ContainerInstanceId;
    /// An EC2 instance's id: `i-` and 17 hexadecimal digits.
    InstanceId;
    /// One registration of one target: an address that is registered again gets another one.
    RegistrationId;
    /// `vpc-` and 17 hexadecimal digits.
    VpcId;
    /// `subnet-` and 17 hexadecimal digits.
    SubnetId;
    /// `sg-` and 17 hexadecimal digits.
    SecurityGroupId;
    /// `eni-` and 17 hexadecimal digits.
    NetworkInterfaceId;
    /// A blob's digest: `sha256:` and 64 hexadecimal digits.
    Digest;
}
