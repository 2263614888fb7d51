//! Messages of what was made before the logs were open.
//!
//! Certificates are read while the server still has the rights of root, and logs are opened after it has
//! given them up. What a certificate reports later goes to the error log.

use std::sync::{Arc, OnceLock};

use doorstep_driver::core::log::Level;

/// Where messages go.
type Report = Box<dyn Fn(Level, &str) + Send + Sync>;

/// Where messages go, as soon as that is known. Messages before that are lost. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Reports(Arc<OnceLock<Report>>);

impl Reports {
    /// From now on messages go to `report`.
    pub(crate) fn go_to(&self, report: impl Fn(Level, &str) + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(report));
    }

    /// Reports `message`.
    #[cfg(feature = "tls")]
    pub(crate) fn send(&self, level: Level, message: &str) {
        self.0.get().into_iter().for_each(|report| report(level, message));
    }
}
