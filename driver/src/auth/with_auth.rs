//! A handler for users only.

use super::Auth;

/// A handler that is called for requests of the users of an [`Auth`] only: the result of
/// `Handler::with_auth` of every front end, which implements its `Handler` for it.
///
/// ```
/// use doorstep_driver::Files;
/// use doorstep_driver::auth::{Auth, WithAuth};
///
/// let files = WithAuth::new(Files::new(".")?, Auth::from_user("alice", "correct horse")?);
/// assert_eq!(files.auth().user_count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WithAuth<H> {
    handler: H,
    auth: Auth,
}

impl<H> WithAuth<H> {
    /// For front ends: others call `Handler::with_auth`.
    #[must_use]
    pub fn new(handler: H, auth: Auth) -> Self {
        Self { handler, auth }
    }

    /// The handler. What is called on it is called for everyone.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// Who may call it.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.auth
    }
}
