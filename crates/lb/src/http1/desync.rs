//! AWS's desync mitigation: how dangerous a request is that is not quite HTTP.

use std::fmt;

/// From harmless to dangerous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Class {
    #[default]
    Compliant,
    /// Not compliant, without known danger.
    Acceptable,
    /// Recipients may read it differently: routed, then both connections are closed.
    Ambiguous,
    /// Refused, and the connection is closed.
    Severe,
}

impl Class {
    /// As the access log writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compliant => "Compliant",
            Self::Acceptable => "Acceptable",
            Self::Ambiguous => "Ambiguous",
            Self::Severe => "Severe",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident: $class:ident,)+) => {
        /// Why a request is not compliant, by AWS's names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)+ }
        impl Reason {
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)+ }
            }
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }
    };
}

reasons! {
    /// Control characters in the target.
    AmbiguousUri: Ambiguous,
    /// Not a decimal number.
    BadContentLength: Severe,
    /// NUL or CR, a folded line, white space in or behind a name, a line without a colon, a Host that is none.
    BadHeader: Severe,
    BadMethod: Severe,
    /// A value that is not a list of codings ending with `chunked`, or any value in HTTP/1.0.
    BadTransferEncoding: Severe,
    /// NUL or CR in the target.
    BadUri: Severe,
    BadVersion: Severe,
    BothTeClPresent: Ambiguous,
    /// The same number more than once.
    DuplicateContentLength: Ambiguous,
    /// A header without a name.
    EmptyHeader: Ambiguous,
    /// `Content-Length: 0` on GET or HEAD.
    GetHeadZeroContentLength: Acceptable,
    /// Different numbers.
    MultipleContentLength: Severe,
    MultipleTransferEncodingChunked: Severe,
    /// Bytes that are not ASCII, control characters, or a name that is no token.
    NonCompliantHeader: Acceptable,
    NonCompliantVersion: Acceptable,
    SpaceInUri: Acceptable,
    /// A name that some recipients take for Content-Length or Transfer-Encoding; lines that end with a bare LF; a second Host.
    SuspiciousHeader: Ambiguous,
    /// A body that GET or HEAD gives no meaning to.
    UndefinedContentLengthSemantics: Ambiguous,
    UndefinedTransferEncodingSemantics: Ambiguous,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The worst that was found in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classification {
    reason: Option<Reason>,
}

impl Classification {
    /// Keeps the first of the worst reasons.
    pub fn note(&mut self, reason: Reason) {
        if reason.class() > self.class() {
            self.reason = Some(reason);
        }
    }
    pub fn class(self) -> Class {
        self.reason.map_or(Class::Compliant, Reason::class)
    }
    pub fn reason(self) -> Option<Reason> {
        self.reason
    }
}

/// `routing.http.desync_mitigation_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DesyncMode {
    Monitor,
    #[default]
    Defensive,
    Strictest,
}

impl DesyncMode {
    /// What is not known is AWS's default.
    pub fn parse(text: &str) -> Self {
        match text {
            "monitor" => Self::Monitor,
            "strictest" => Self::Strictest,
            _ => Self::Defensive,
        }
    }

    /// Whether a request of this class is routed at all.
    pub fn admits(self, class: Class) -> bool {
        match self {
            Self::Monitor => true,
            Self::Defensive => class < Class::Severe,
            Self::Strictest => class == Class::Compliant,
        }
    }

    /// Whether both connections are closed behind a routed request. What is severe closes them in every mode: nobody
    /// knows where it ends.
    pub fn closes(self, class: Class) -> bool {
        match self {
            Self::Monitor => class == Class::Severe,
            Self::Defensive | Self::Strictest => class >= Class::Ambiguous,
        }
    }
}
