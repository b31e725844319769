//! Who asks, and what they may: a verb is part of a handler's signature, so none can forget to check.
//!
//! The operating system vouches for a unix socket's peer; a token vouches for itself on loopback TCP.
//! A token that is shown on the socket counts as that token and nothing more, and no token is ever an
//! administrator: showing less power than one has must always be possible, gaining more never.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Extensions, HeaderMap};
use landbridge_planted::planted;
use landbridge_proto::wire::problem::{Code, Problem};
use zeroize::Zeroizing;

use super::problem::{LocalCode, LocalProblem};
use super::server::Local;
use crate::bridge::Principal;
use crate::net::Connection;
use crate::net::listen::RemoteAddr;

/// How a client's connection came in, as the operating system says.
///
/// A request extension; the accept loop of [`crate::net`] says the same in its own words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LocalPeer {
    /// Through the unix socket, with the peer's credentials.
    Unix {
        /// Its user.
        uid: u32,
        /// Its process, where the system tells.
        pid: Option<i32>,
    },
    /// Through loopback TCP, from this address.
    Tcp(SocketAddr),
}

impl LocalPeer {
    /// The peer of a request, from its extensions; `None` for a connection of the wrong kind.
    pub(super) fn of(extensions: &Extensions) -> Option<Self> {
        if let Some(&peer) = extensions.get::<Self>() {
            return Some(peer);
        }
        match extensions.get::<Connection>()?.remote {
            RemoteAddr::Unix(credentials) => {
                Some(Self::Unix { uid: credentials.uid, pid: credentials.pid })
            }
            RemoteAddr::Ip(address) => Some(Self::Tcp(address)),
            RemoteAddr::Memory => None,
        }
    }
}

/// What a client may be allowed to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// See runs, frames, transcripts and gateways.
    Read,
    /// Start runs and test gateways.
    Run,
    /// Cancel runs.
    Cancel,
    /// Hand in what an operator decided. The operator's own signature is needed besides.
    Decide,
    /// Everything of `/v1/admin/`; no token has it.
    Administer,
}

impl Verb {
    /// The verbs that a token may have.
    pub const OF_TOKENS: [Self; 4] = [Self::Read, Self::Run, Self::Cancel, Self::Decide];
    /// The verbs of a token that was made without any.
    pub const USUAL: [Self; 3] = [Self::Read, Self::Run, Self::Cancel];

    /// The verb as tokens name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Cancel => "cancel",
            Self::Decide => "decide",
            Self::Administer => "administer",
        }
    }
}

/// What a request showed. Absent from its extensions when it showed nothing.
#[derive(Clone)]
pub(super) enum Credential {
    /// The socket's peer is the owner of the process, or root.
    Owner,
    /// A bearer secret, not yet looked up.
    Bearer(Zeroizing<String>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owner => "Owner",
            Self::Bearer(_) => "Bearer(..)",
        })
    }
}

impl Credential {
    /// Reads what a connection and its headers show; `None` when they show nothing.
    pub(super) fn shown(
        peer: LocalPeer,
        owner: u32,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, LocalProblem> {
        if let LocalPeer::Unix { uid, .. } = peer
            && uid != owner
            && uid != 0
        {
            return Err(LocalProblem::new(
                LocalCode::Forbidden,
                "the socket serves the user that runs the bridge, and root",
            ));
        }
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        match (shown.next(), shown.next(), peer) {
            (None, _, LocalPeer::Unix { .. }) => Ok(Some(Self::Owner)),
            (None, _, LocalPeer::Tcp(_)) => Ok(None),
            (Some(value), None, _) => bearer(value.as_bytes()).map(Some),
            (Some(_), Some(_), _) => Err(unauthorized("the request has two Authorization headers")),
        }
    }
}

fn bearer(value: &[u8]) -> Result<Credential, LocalProblem> {
    let secret = value
        .split_at_checked(SCHEME.len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .and_then(|(_, secret)| std::str::from_utf8(secret).ok())
        .filter(|secret| secret.starts_with(TOKEN_PREFIX) && secret.len() <= TOKEN_BYTES_MAX)
        .filter(|secret| secret.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| unauthorized("Authorization must be \"Bearer lbt_...\""))?;
    Ok(Credential::Bearer(Zeroizing::new(secret.to_owned())))
}

fn unauthorized(detail: &str) -> LocalProblem {
    LocalProblem::new(LocalCode::Unauthorized, detail)
}

/// A principal that holds the verb `V`. The only way to one is a request that proved it.
#[derive(Debug)]
pub(super) struct May<V> {
    principal: Principal,
    verb: PhantomData<V>,
}

impl<V> May<V> {
    /// Who it is.
    pub(super) const fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// A verb as a type.
pub(super) trait Needs: Send {
    /// The verb.
    const VERB: Verb;
}

/// Needs [`Verb::Read`].
#[derive(Debug)]
pub(super) struct Read;
/// Needs [`Verb::Run`].
#[derive(Debug)]
pub(super) struct Run;
/// Needs [`Verb::Cancel`].
#[derive(Debug)]
pub(super) struct Cancel;
/// Needs [`Verb::Decide`].
#[derive(Debug)]
pub(super) struct Decide;
/// Needs [`Verb::Administer`].
#[derive(Debug)]
pub(super) struct Administer;

impl Needs for Read {
    const VERB: Verb = Verb::Read;
}
impl Needs for Run {
    const VERB: Verb = Verb::Run;
}
impl Needs for Cancel {
    const VERB: Verb = Verb::Cancel;
}
impl Needs for Decide {
    const VERB: Verb = Verb::Decide;
}
impl Needs for Administer {
    const VERB: Verb = Verb::Administer;
}

impl<V: Needs> FromRequestParts<Local> for May<V> {
    type Rejection = LocalProblem;

    async fn from_request_parts(parts: &mut Parts, local: &Local) -> Result<Self, LocalProblem> {
        let principal = match parts.extensions.get::<Credential>() {
            None => return Err(unauthorized("show a token: Authorization: Bearer lbt_...")),
            Some(Credential::Owner) => Principal::Admin,
            Some(Credential::Bearer(secret)) => match local.bridge.principal_of(secret)? {
                Some(Principal::Admin) => return Err(Problem::new(Code::Internal).into()),
                Some(principal) => principal,
                None => return Err(unauthorized("the token is unknown, expired or revoked")),
            },
        };
        permit(&principal, V::VERB)?;
        Ok(Self { principal, verb: PhantomData })
    }
}

/// Checks that a principal holds a verb.
pub(super) fn permit(who: &Principal, verb: Verb) -> Result<(), LocalProblem> {
    let detail = match (who, verb) {
        (Principal::Admin, _) => return Ok(()),
        (Principal::Token(_), Verb::Administer) => {
            "administration needs the unix socket, without a token".to_owned()
        }
        (Principal::Token(_), _) if planted!("verb_unchecked") => return Ok(()),
        (Principal::Token(_), _) if planted!("no_token_is_good") => "no token is good".to_owned(),
        (Principal::Token(token), _) if token.verbs.iter().any(|has| has == verb.as_str()) => {
            return Ok(());
        }
        (Principal::Token(token), _) => {
            format!("token {} does not have the verb {}", token.id, verb.as_str())
        }
    };
    Err(LocalProblem::new(LocalCode::Forbidden, detail))
}

/// The authentication scheme and the space after it.
const SCHEME: &[u8] = b"Bearer ";
/// Begins every local token, so that a leaked one is recognised.
pub const TOKEN_PREFIX: &str = "lbt_";
/// No token is longer.
const TOKEN_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use http::HeaderValue;

    use super::*;

    const TCP: LocalPeer =
        LocalPeer::Tcp(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4000));

    fn with(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        headers
    }

    fn token(verbs: &[&str]) -> Principal {
        Principal::Token(std::sync::Arc::new(crate::bridge::TokenScope {
            id: "t1".to_owned(),
            routes: Vec::new(),
            tenants: Vec::new(),
            sees: landbridge_proto::machine::contract::Sees::Own,
            verbs: verbs.iter().map(|&verb| verb.to_owned()).collect(),
            runs_open_max: 1,
            starts_per_minute_max: 1,
            expires: None,
        }))
    }

    #[test]
    fn owner_and_root_own_the_socket_and_strangers_do_not() {
        let show = |uid| Credential::shown(LocalPeer::Unix { uid, pid: None }, 1000, &with(&[]));
        assert!(matches!(show(1000), Ok(Some(Credential::Owner))));
        assert!(matches!(show(0), Ok(Some(Credential::Owner))));
        assert_eq!(show(1001).unwrap_err().view().code, "forbidden");
    }

    #[test]
    fn a_token_on_the_socket_counts_as_the_token() {
        let peer = LocalPeer::Unix { uid: 1000, pid: Some(1) };
        let shown = Credential::shown(peer, 1000, &with(&["Bearer lbt_abc"])).unwrap();
        assert!(matches!(shown, Some(Credential::Bearer(secret)) if *secret == "lbt_abc"));
    }

    #[test]
    fn tcp_without_a_token_shows_nothing() {
        assert!(Credential::shown(TCP, 1000, &with(&[])).unwrap().is_none());
    }

    #[test]
    fn other_schemes_and_operator_tokens_are_not_tokens() {
        for bad in [
            "Basic lbt_abc",
            "Bearer abc",
            "Bearer",
            "Bearer  lbt_abc",
            "lbt_abc",
            "Bearer lbt_a b",
        ] {
            let problem = Credential::shown(TCP, 1000, &with(&[bad])).unwrap_err();
            assert_eq!(problem.view().status, 401, "{bad}");
        }
        let two = with(&["Bearer lbt_abc", "Bearer lbt_abc"]);
        assert_eq!(Credential::shown(TCP, 1000, &two).unwrap_err().view().status, 401);
        assert!(Credential::shown(TCP, 1000, &with(&["bearer lbt_abc"])).unwrap().is_some());
    }

    #[test]
    fn a_token_does_what_its_verbs_say_and_never_administers() {
        let reader = token(&["read"]);
        assert!(permit(&reader, Verb::Read).is_ok());
        for verb in [Verb::Run, Verb::Cancel, Verb::Administer] {
            assert_eq!(permit(&reader, verb).unwrap_err().view().status, 403, "{verb:?}");
        }
        assert!(permit(&token(&["administer"]), Verb::Administer).is_err());
        assert!(permit(&token(&[]), Verb::Read).is_err());
        assert!(permit(&Principal::Admin, Verb::Administer).is_ok());
    }

    #[test]
    fn a_secret_is_not_in_the_debug_text() {
        let shown = Credential::shown(TCP, 1000, &with(&["Bearer lbt_abc"])).unwrap();
        assert!(!format!("{shown:?}").contains("abc"));
    }
}
