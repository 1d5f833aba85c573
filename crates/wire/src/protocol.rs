//! The protocols that AWS's clients speak.

/// How a request and its answer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    AwsJson10,
    AwsJson11,
    AwsQuery,
    Ec2Query,
    RestJson,
    RestXml,
    RpcV2Cbor,
}

impl Protocol {
    /// A form goes in and XML comes out.
    pub fn is_query(self) -> bool {
        matches!(self, Self::AwsQuery | Self::Ec2Query)
    }
    pub fn is_aws_json(self) -> bool {
        matches!(self, Self::AwsJson10 | Self::AwsJson11)
    }
    /// The operation is told by method and path.
    pub fn is_rest(self) -> bool {
        matches!(self, Self::RestJson | Self::RestXml)
    }
    pub fn content_type(self) -> &'static str {
        match self {
            Self::AwsJson10 => "application/x-amz-json-1.0",
            Self::AwsJson11 => "application/x-amz-json-1.1",
            Self::AwsQuery => "text/xml",
            Self::Ec2Query => "text/xml;charset=UTF-8",
            Self::RestJson => "application/json",
            Self::RestXml => "application/xml",
            Self::RpcV2Cbor => "application/cbor",
        }
    }
}
