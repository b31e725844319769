//! Where connections come from: a public socket, loopback, a unix socket, or memory.
//!
//! The accept loop sees only this trait, so every plane and every test goes through the same caps and
//! deadlines.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use landbridge_planted::planted;

use super::connect::{BoxStream, Connector};
use super::endpoint::Endpoint;

/// Who is at the other end, as the operating system says. No header has a say in this.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RemoteAddr {
    /// A socket address.
    Ip(SocketAddr),
    /// A process of this machine, by the unix socket's peer credentials.
    Unix(PeerCredentials),
    /// A test or a simulation.
    Memory,
}

/// Whose process opened a unix socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerCredentials {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process id, where the system tells.
    pub pid: Option<i32>,
}

/// A source of connections.
#[async_trait]
pub trait Listener: Send + 'static {
    /// Waits for the next connection. Must be cancel safe.
    ///
    /// # Errors
    ///
    /// What the system says; the accept loop goes on, more slowly.
    async fn accept(&mut self) -> io::Result<(BoxStream, RemoteAddr)>;
}

/// A TCP socket.
#[derive(Debug)]
pub struct TcpListener {
    inner: tokio::net::TcpListener,
}

impl TcpListener {
    /// Binds an address for the federation plane.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { inner: tokio::net::TcpListener::bind(address).await? })
    }

    /// Binds a loopback address; refuses every other, because what is served here has no TLS.
    ///
    /// # Errors
    ///
    /// When the address is not loopback or cannot be bound.
    pub async fn bind_loopback(address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() && !planted!("plain_text_beyond_loopback") {
            let why = format!(
                "{address} is not a loopback address; the local plane listens nowhere else"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Self::bind(address).await
    }

    /// The bound address.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

#[async_trait]
impl Listener for TcpListener {
    async fn accept(&mut self) -> io::Result<(BoxStream, RemoteAddr)> {
        let (stream, address) = self.inner.accept().await?;
        // Fails when the peer is gone already, which is that connection's business and not the loop's.
        let _gone_already = stream.set_nodelay(true);
        Ok((Box::new(stream), RemoteAddr::Ip(address)))
    }
}

/// A unix socket, for its owner only (mode 0600). Its file goes away with it.
#[derive(Debug)]
pub struct UnixListener {
    inner: tokio::net::UnixListener,
    path: PathBuf,
}

impl UnixListener {
    /// Binds `path`. A socket that nobody answers any more is replaced; a living one, or any other kind
    /// of file, is left alone.
    ///
    /// # Errors
    ///
    /// When something is in the way, or the socket cannot be made.
    pub async fn bind(path: &Path) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => {
                if tokio::net::UnixStream::connect(path).await.is_ok() {
                    return Err(io::Error::new(
                        io::ErrorKind::AddrInUse,
                        "another process answers on this socket",
                    ));
                }
                fs::remove_file(path)?;
            }
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "the path is not a socket",
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let inner = tokio::net::UnixListener::bind(path)?;
        // Between bind and chmod the socket has the umask's mode; the home directory is 0700, and the
        // peer's credentials are checked at every request whatever the mode.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { inner, path: path.to_path_buf() })
    }
}

#[async_trait]
impl Listener for UnixListener {
    async fn accept(&mut self) -> io::Result<(BoxStream, RemoteAddr)> {
        let (stream, _) = self.inner.accept().await?;
        let peer = stream
            .peer_cred()
            .map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))?;
        let credentials = PeerCredentials { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() };
        Ok((Box::new(stream), RemoteAddr::Unix(credentials)))
    }
}

impl Drop for UnixListener {
    fn drop(&mut self) {
        // Best effort: a leftover socket is recognised and replaced at the next start.
        let _gone = fs::remove_file(&self.path);
    }
}

/// A network in memory: endpoints that can be listened on and connected to, without any socket.
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork {
    listeners: Arc<Mutex<BTreeMap<Endpoint, mpsc::Sender<DuplexStream>>>>,
}

impl MemoryNetwork {
    /// An empty network.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens at `endpoint`, in place of whoever did before.
    #[must_use]
    pub fn listen(&self, endpoint: Endpoint) -> MemoryListener {
        let (sender, incoming) = mpsc::channel(MEMORY_BACKLOG);
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint, sender);
        MemoryListener { incoming }
    }
}

impl Connector for MemoryNetwork {
    fn connect<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let listener = {
                let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
                listeners.get(endpoint).cloned().ok_or_else(refused)?
            };
            let (ours, theirs) = tokio::io::duplex(MEMORY_PIPE_BYTES);
            listener.send(theirs).await.map_err(|_| refused())?;
            Ok(Box::new(ours) as BoxStream)
        })
    }
}

/// One endpoint of a [`MemoryNetwork`].
#[derive(Debug)]
pub struct MemoryListener {
    incoming: mpsc::Receiver<DuplexStream>,
}

#[async_trait]
impl Listener for MemoryListener {
    async fn accept(&mut self) -> io::Result<(BoxStream, RemoteAddr)> {
        match self.incoming.recv().await {
            Some(stream) => Ok((Box::new(stream), RemoteAddr::Memory)),
            // Somebody else listens here now; nothing will ever come.
            None => std::future::pending().await,
        }
    }
}

/// The address group that shares one allowance: an IPv4 address, or an IPv6 /64, which is what one
/// household or machine gets.
pub(super) fn source_group(address: &RemoteAddr) -> Option<IpAddr> {
    match address {
        RemoteAddr::Ip(address) => Some(match address.ip().to_canonical() {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & (u128::MAX << 64)).into()),
        }),
        RemoteAddr::Unix(_) | RemoteAddr::Memory => None,
    }
}

const MEMORY_BACKLOG: usize = 64;
const MEMORY_PIPE_BYTES: usize = 64 * 1024;
