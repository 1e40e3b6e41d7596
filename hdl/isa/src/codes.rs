//! Enumerations and layouts that are also data, so that the documents of the contract ([`crate::document`]) are made from
//! what the code uses.

use serde::Serialize;

/// A member of an enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Code {
    /// Name.
    pub name: &'static str,
    /// Number that stands for it.
    pub code: u8,
    /// What it means.
    pub text: &'static str,
}

/// Bytes of a frame or a payload, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Name.
    pub name: &'static str,
    /// Size; none where the frame says it.
    pub bytes: Option<usize>,
    /// What it holds.
    pub text: &'static str,
}

impl Part {
    pub(crate) const fn new(name: &'static str, bytes: usize, text: &'static str) -> Self {
        Self {
            name,
            bytes: Some(bytes),
            text,
        }
    }

    pub(crate) const fn open(name: &'static str, text: &'static str) -> Self {
        Self {
            name,
            bytes: None,
            text,
        }
    }

    /// Bytes before the first part whose size is open.
    pub(crate) const fn head(parts: &[Self]) -> usize {
        let (mut bytes, mut at) = (0, 0);
        while at < parts.len() {
            match parts[at].bytes {
                Some(more) => bytes += more,
                None => break,
            }
            at += 1;
        }
        bytes
    }
}

/// Declares an enumeration of bytes, and its members as data.
macro_rules! codes {
    ($(#[doc = $head:literal])* $name:ident { $($(#[doc = $text:literal])* $member:ident = $code:literal,)* }) => {
        $(#[doc = $head])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        #[repr(u8)]
        pub enum $name { $($(#[doc = $text])* $member = $code,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$member),*];
            /// All of them, with what they mean.
            pub const CODES: &[crate::codes::Code] = &[$(crate::codes::Code {
                name: stringify!($member),
                code: $code,
                text: concat!($($text),*).trim_ascii_start(),
            },)*];

            /// The one that a code stands for.
            #[must_use]
            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|&one| one as u8 == code)
            }

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$member => stringify!($member),)* }
            }
        }
    };
}
pub(crate) use codes;
