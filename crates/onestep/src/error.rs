//! The crate's error: a kind to match on, a message for people, and the cause if there is one.
//!
//! Faults of a user, a file or a device are values of [`Error`]; faults of onestep itself panic
//! with a message that starts with "onestep bug".

use std::fmt;

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in one word, for programs that want to react to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Shapes or axes that do not fit an operation.
    Shape,
    /// Element types that do not fit an operation.
    DType,
    /// A graph or its text form breaks a rule.
    Graph,
    /// A configuration file or an option is wrong.
    Config,
    /// A data set is not what it should be (labels out of range, sizes that differ, …).
    Data,
    /// A file is truncated, lies about itself or is of another kind.
    Format,
    /// The operating system refused to read or write.
    Io,
    /// The asked-for device is not there or failed.
    Device,
    /// Memory ran out, or an allocation would be unreasonable.
    Memory,
    /// A loss or a gradient became NaN or infinite.
    Numeric,
    /// A name is used twice or does not exist.
    Name,
    /// Something that this device or version cannot do.
    Unsupported,
}

/// An error: a [`kind`](Error::kind), one paragraph that names the fact and the mend, and a source.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a kind with a message that names the fact and the mend.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    /// Attaches the error that caused this one.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts a place in front of the message: "linear `fc2`: …".
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// An I/O error with what was being done to which path.
    pub fn io(doing: impl fmt::Display, path: &std::path::Path, source: std::io::Error) -> Self {
        Error::new(ErrorKind::Io, format!("{doing} {}: {source}", path.display())).with_source(source)
    }

    /// What went wrong, in one word.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)*) => {
        impl Error {
            $($(#[$doc])* pub fn $name(message: impl Into<String>) -> Self {
                Error::new(ErrorKind::$kind, message)
            })*
        }
    };
}

constructors! {
    /// An error of kind [`ErrorKind::Shape`].
    shape => Shape;
    /// An error of kind [`ErrorKind::DType`].
    dtype => DType;
    /// An error of kind [`ErrorKind::Graph`].
    graph => Graph;
    /// An error of kind [`ErrorKind::Config`].
    config => Config;
    /// An error of kind [`ErrorKind::Data`].
    data => Data;
    /// An error of kind [`ErrorKind::Format`].
    format => Format;
    /// An error of kind [`ErrorKind::Device`].
    device => Device;
    /// An error of kind [`ErrorKind::Memory`].
    memory => Memory;
    /// An error of kind [`ErrorKind::Numeric`].
    numeric => Numeric;
    /// An error of kind [`ErrorKind::Name`].
    name => Name;
    /// An error of kind [`ErrorKind::Unsupported`].
    unsupported => Unsupported;
}
