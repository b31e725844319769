//! How bytes reach a peer: a door that can be a socket, memory, or a connection that the peer opened.
//!
//! Nothing above this trait knows of addresses, so simulation and the reverse link need no second
//! client.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use landbridge_planted::planted;

use super::endpoint::{AddressPolicy, Endpoint, Host};

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Some [`Stream`], whichever.
pub type BoxStream = Box<dyn Stream>;

/// Opens a plain byte stream to an endpoint; TLS is laid on top by the client.
pub trait Connector: Send + Sync + 'static {
    /// Connects.
    fn connect<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<BoxStream>>;
}

/// Turns a host's name into addresses.
pub trait Resolver: Send + Sync + 'static {
    /// Looks a name up.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
        })
    }
}

/// An endpoint whose addresses are all forbidden; found inside the [`io::Error`] of a connect.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{endpoint} leads only to addresses that must not be dialled")]
pub struct ForbiddenAddress {
    /// The endpoint.
    pub endpoint: Endpoint,
}

/// Connects over TCP, to addresses that the policy allows.
#[derive(Clone)]
pub struct TcpConnector {
    policy: AddressPolicy,
    resolver: Arc<dyn Resolver>,
}

impl TcpConnector {
    /// A connector with the system's resolver.
    #[must_use]
    pub fn new(policy: AddressPolicy) -> Self {
        Self::with_resolver(policy, Arc::new(SystemResolver))
    }

    /// A connector with a resolver of one's own.
    #[must_use]
    pub fn with_resolver(policy: AddressPolicy, resolver: Arc<dyn Resolver>) -> Self {
        Self { policy, resolver }
    }

    /// Resolves once and keeps what may be dialled: the addresses judged here are the ones connected to,
    /// so a name that changes its mind afterwards changes nothing.
    async fn addresses(&self, endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
        let mut found = match endpoint.host() {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => self.resolver.resolve(name).await?,
        };
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no addresses"));
        }
        found.retain(|ip| self.policy.allows(*ip));
        if found.is_empty() {
            let forbidden = ForbiddenAddress { endpoint: endpoint.clone() };
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, forbidden));
        }
        found.truncate(ADDRESSES_TRIED_MAX);
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, endpoint.port())).collect())
    }
}

impl Connector for TcpConnector {
    fn connect<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            let mut judged = self.addresses(endpoint).await?;
            if planted!("name_resolved_again")
                && let Host::Name(name) = endpoint.host()
            {
                let found = self.resolver.resolve(name).await?;
                let port = endpoint.port();
                judged = found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
            }
            for address in judged {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        return Ok(Box::new(stream) as BoxStream);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }
}

/// A name may resolve to any number of addresses; the connect deadline covers them all together.
const ADDRESSES_TRIED_MAX: usize = 4;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::net::endpoint::Network;

    struct Fixed(&'static [&'static str]);

    impl Resolver for Fixed {
        fn resolve<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            Box::pin(async { Ok(self.0.iter().map(|ip| ip.parse().unwrap()).collect()) })
        }
    }

    fn connector(found: &'static [&'static str], policy: AddressPolicy) -> TcpConnector {
        TcpConnector::with_resolver(policy, Arc::new(Fixed(found)))
    }

    #[tokio::test]
    async fn literals_and_names_that_lead_inside_are_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let named: &[&[&str]] = &[&["127.0.0.1"], &["::ffff:127.0.0.1"], &["::1", "10.0.0.1"]];
        for found in named {
            let endpoint = Endpoint::parse(&format!("https://bridge.example:{port}")).unwrap();
            let error = connector(found, AddressPolicy::public_only())
                .connect(&endpoint)
                .await
                .err()
                .unwrap();
            assert!(error.get_ref().unwrap().is::<ForbiddenAddress>(), "{found:?}: {error}");
        }
        for host in [
            "127.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "169.254.169.254",
            "10.0.0.1",
            "[::]",
            "0.0.0.0",
        ] {
            let endpoint = Endpoint::parse(&format!("https://{host}:{port}")).unwrap();
            let error = connector(&[], AddressPolicy::public_only())
                .connect(&endpoint)
                .await
                .err()
                .unwrap();
            assert!(error.get_ref().unwrap().is::<ForbiddenAddress>(), "{host}: {error}");
        }
    }

    #[tokio::test]
    async fn a_name_with_mixed_addresses_reaches_only_the_allowed_one() {
        let policy = AddressPolicy::public_only().danger_allow_loopback();
        let endpoint = Endpoint::parse("https://bridge.example:8443").unwrap();
        let kept = connector(&["169.254.169.254", "127.0.0.1", "10.0.0.1"], policy)
            .addresses(&endpoint)
            .await
            .unwrap();
        assert_eq!(kept, ["127.0.0.1:8443".parse().unwrap()]);
    }

    /// A name that changes its mind each time that it is asked for.
    struct Turning(std::sync::Mutex<Vec<&'static str>>);

    impl Resolver for Turning {
        fn resolve<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            let next = self.0.lock().unwrap().pop().unwrap();
            Box::pin(async move { Ok(vec![next.parse().unwrap()]) })
        }
    }

    #[tokio::test]
    async fn what_was_judged_is_what_is_dialled() {
        let outer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = outer.local_addr().unwrap().port();
        let inner = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
        let only_outer = Network::parse("127.0.0.1/32").unwrap();
        let policy = AddressPolicy::public_only().danger_allow(only_outer);
        let names = Arc::new(Turning(vec!["127.0.0.2", "127.0.0.1"].into()));
        let connector = TcpConnector::with_resolver(policy, names.clone());
        let endpoint = Endpoint::parse(&format!("https://bridge.example:{port}")).unwrap();
        assert!(connector.connect(&endpoint).await.is_ok());
        assert_eq!(names.0.lock().unwrap().len(), 1, "the name was asked for once");
        outer.accept().await.unwrap();
        // The next time it leads inside, and nothing is dialled.
        let error = connector.connect(&endpoint).await.err().unwrap();
        assert!(error.get_ref().unwrap().is::<ForbiddenAddress>(), "{error}");
        let nothing = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(nothing, inner.accept()).await.is_err());
    }

    #[tokio::test]
    async fn an_allowed_address_is_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint =
            Endpoint::at("127.0.0.1".parse().unwrap(), listener.local_addr().unwrap().port());
        let policy = AddressPolicy::public_only().danger_allow_loopback();
        assert!(TcpConnector::new(policy).connect(&endpoint).await.is_ok());
        listener.accept().await.unwrap();
    }
}
