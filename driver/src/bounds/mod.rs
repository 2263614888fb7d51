//! Every bound of a server, with its value and what happens beyond it; and the memory that follows
//! from them.
//!
//! [`Config::bounds`] and the other methods of that name list the fields of the settings that bound
//! something: deadlines, sizes, numbers and rates. [`MemoryBounds`] is the most memory that clients can
//! cause. The command prints both (`--limits`), for the options that it is given.
//!
//! ```
//! use doorstep_driver::Config;
//! use doorstep_driver::bounds::BoundValue;
//! use std::num::NonZeroUsize;
//! use std::time::Duration;
//!
//! let config = Config::default();
//! let bounds = config.bounds(NonZeroUsize::MIN);
//! let idle = bounds.iter().find(|bound| bound.name == "timeouts.idle").expect("it is a bound");
//! assert_eq!(idle.value, BoundValue::Time(Duration::from_secs(60)));
//! assert_eq!(idle.value.to_string(), "60 s");
//! assert_eq!(idle.beyond, "the connection is closed");
//! ```
//!
//! It has no bound of what handlers of the application do: a response that a handler passes whole is
//! as large as it is.

mod fields;
mod memory;

pub use fields::of_site;
pub use memory::{MemoryBound, MemoryBounds, THREAD_STACK};

use std::fmt;
use std::time::Duration;

#[cfg(doc)]
use crate::config::Config;

/// A bound: a field of a settings struct, its value, and what happens beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The settings and the field, such as `timeouts.idle`. `limits` is [`Limits`], `timeouts` is
    /// [`Timeouts`], `config` is [`Config`], `site` is [`Site`], `cache` is [`CacheLimits`], `cgi` is
    /// [`CgiSettings`], `upload` is [`UploadSettings`], `auth` is `AuthSettings`, `listen` is
    /// [`BindOptions`], and `log` is [`LogSettings`].
    ///
    /// [`Limits`]: doorstep_core::http1::Limits
    /// [`Timeouts`]: doorstep_core::http1::Timeouts
    /// [`Site`]: doorstep_core::site::Site
    /// [`CacheLimits`]: crate::files::CacheLimits
    /// [`CgiSettings`]: crate::cgi::CgiSettings
    /// [`BindOptions`]: crate::net::BindOptions
    /// [`LogSettings`]: crate::os::LogSettings
    /// [`UploadSettings`]: crate::upload::UploadSettings
    pub name: &'static str,
    /// Its value.
    pub value: BoundValue,
    /// What happens beyond it.
    pub beyond: &'static str,
}

/// The value of a [`Bound`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BoundValue {
    /// A time. [`Duration::MAX`] is no limit.
    Time(Duration),
    /// A number of bytes.
    Bytes(u64),
    /// A number of other things.
    Number(u64),
    /// Bytes per second.
    Rate(u64),
    /// There is no such bound.
    Unlimited,
}

impl fmt::Display for BoundValue {
    /// As in `60 s`, `64 KiB`, `100` and `250 B/s`. An inexact size is rounded up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unlimited | Self::Time(Duration::MAX) => f.pad("no limit"),
            Self::Time(time) if time.subsec_millis() == 0 => {
                f.pad(&format!("{} s", time.as_secs()))
            }
            Self::Time(time) => f.pad(&format!("{} ms", time.as_millis())),
            Self::Bytes(bytes) => f.pad(&size(bytes)),
            Self::Number(number) => f.pad(&number.to_string()),
            Self::Rate(rate) => f.pad(&format!("{}/s", size(rate))),
        }
    }
}

/// A number of bytes in the largest unit of which it is at least one, or at least ten if it is not a
/// whole number of them; rounded up.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (unit, shift) in UNITS {
        let is_whole = bytes.is_multiple_of(1 << shift);
        if bytes >> shift >= if is_whole { 1 } else { 10 } {
            return format!("{} {unit}", bytes.div_ceil(1 << shift));
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_with_their_units() {
        for (value, written) in [
            (BoundValue::Time(Duration::from_millis(250)), "250 ms"),
            (BoundValue::Time(Duration::ZERO), "0 s"),
            (BoundValue::Time(Duration::MAX), "no limit"),
            (BoundValue::Bytes(64 << 10), "64 KiB"),
            (BoundValue::Bytes(1 << 30), "1 GiB"),
            (BoundValue::Bytes((9 << 20) + 1), "9217 KiB"),
            (BoundValue::Bytes((10 << 20) + 1), "11 MiB"),
            (BoundValue::Bytes(0), "0 B"),
            (BoundValue::Rate(250), "250 B/s"),
            (BoundValue::Rate(64 << 10), "64 KiB/s"),
            (BoundValue::Number(7), "7"),
            (BoundValue::Unlimited, "no limit"),
        ] {
            assert_eq!(value.to_string(), written);
        }
        assert_eq!(format!("{:>5}|", BoundValue::Number(7)), "    7|");
    }
}
