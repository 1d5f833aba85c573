//! The types that a parameter may have.

/// A parameter's type. The texts are the names of AWS's own types, such as `AWS::EC2::Subnet::Id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterKind {
    String,
    Number,
    ListOfNumbers,
    /// `CommaDelimitedList`, and `List<String>`.
    ListOfStrings,
    Aws(String),
    ListOfAws(String),
    /// `AWS::SSM::Parameter::Name`: the name of a parameter that exists.
    SsmName,
    /// `AWS::SSM::Parameter::Value<..>`: the value comes from the Parameter Store.
    SsmValue(Box<ParameterKind>),
}

const AWS_TYPES: &[&str] = &[
    "AWS::EC2::AvailabilityZone::Name",
    "AWS::EC2::Image::Id",
    "AWS::EC2::Instance::Id",
    "AWS::EC2::KeyPair::KeyName",
    "AWS::EC2::SecurityGroup::GroupName",
    "AWS::EC2::SecurityGroup::Id",
    "AWS::EC2::Subnet::Id",
    "AWS::EC2::VPC::Id",
    "AWS::EC2::Volume::Id",
    "AWS::Route53::HostedZone::Id",
];

impl ParameterKind {
    pub(super) fn read(name: &str) -> Option<Self> {
        match inner(name, "AWS::SSM::Parameter::Value<") {
            Some("String") => Some(Self::SsmValue(Box::new(Self::String))),
            Some("CommaDelimitedList" | "List<String>") => {
                Some(Self::SsmValue(Box::new(Self::ListOfStrings)))
            }
            Some(of) => match Self::read_plain(of)? {
                kind @ (Self::Aws(_) | Self::ListOfAws(_)) => Some(Self::SsmValue(Box::new(kind))),
                _ => None,
            },
            None => Self::read_plain(name),
        }
    }

    fn read_plain(name: &str) -> Option<Self> {
        Some(match name {
            "String" => Self::String,
            "Number" => Self::Number,
            "CommaDelimitedList" | "List<String>" => Self::ListOfStrings,
            "List<Number>" => Self::ListOfNumbers,
            "AWS::SSM::Parameter::Name" => Self::SsmName,
            name if AWS_TYPES.contains(&name) => Self::Aws(name.to_owned()),
            name => match inner(name, "List<") {
                Some(of) if AWS_TYPES.contains(&of) => Self::ListOfAws(of.to_owned()),
                _ => return None,
            },
        })
    }

    /// Whether `Ref` gives a list.
    pub fn is_list(&self) -> bool {
        match self {
            Self::ListOfNumbers | Self::ListOfStrings | Self::ListOfAws(_) => true,
            Self::SsmValue(of) => of.is_list(),
            Self::String | Self::Number | Self::Aws(_) | Self::SsmName => false,
        }
    }
}

fn inner<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_suffix('>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_types_are_known() {
        let aws = |name: &str| ParameterKind::Aws(name.to_owned());
        for (name, expected) in [
            ("String", Some(ParameterKind::String)),
            ("Number", Some(ParameterKind::Number)),
            ("List<Number>", Some(ParameterKind::ListOfNumbers)),
            ("CommaDelimitedList", Some(ParameterKind::ListOfStrings)),
            ("AWS::EC2::VPC::Id", Some(aws("AWS::EC2::VPC::Id"))),
            ("List<AWS::EC2::Subnet::Id>", Some(ParameterKind::ListOfAws("AWS::EC2::Subnet::Id".to_owned()))),
            ("AWS::SSM::Parameter::Name", Some(ParameterKind::SsmName)),
            (
                "AWS::SSM::Parameter::Value<String>",
                Some(ParameterKind::SsmValue(Box::new(ParameterKind::String))),
            ),
            (
                "AWS::SSM::Parameter::Value<List<String>>",
                Some(ParameterKind::SsmValue(Box::new(ParameterKind::ListOfStrings))),
            ),
            (
                "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
                Some(ParameterKind::SsmValue(Box::new(aws("AWS::EC2::Image::Id")))),
            ),
            (
                "AWS::SSM::Parameter::Value<List<AWS::EC2::Subnet::Id>>",
                Some(ParameterKind::SsmValue(Box::new(ParameterKind::ListOfAws(
                    "AWS::EC2::Subnet::Id".to_owned(),
                )))),
            ),
            ("AWS::SSM::Parameter::Value<Number>", None),
            ("AWS::SSM::Parameter::Value<AWS::SSM::Parameter::Value<String>>", None),
            ("AWS::EC2::Toaster::Id", None),
            ("Boolean", None),
            ("List<String", None),
            ("", None),
        ] {
            assert_eq!(ParameterKind::read(name), expected, "{name}");
        }
    }
}
