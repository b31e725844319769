//! The wire between the two bridges, which can be cut.
//!
//! It forwards bytes and understands none of them: TLS ends at the bridges. A cut closes every
//! connection at once, in the middle of whatever is on it, and refuses new ones for a moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::exit::{Exit, Failure, OrFail as _};

/// A proxy on loopback, to one address.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    target: SocketAddr,
    /// Counts the cuts; a connection ends when it changes.
    cuts: watch::Sender<u64>,
    refusing: watch::Sender<bool>,
    open: AtomicU64,
    accepted: AtomicU64,
}

impl Proxy {
    /// Listens on a free port.
    pub(super) async fn to(target: SocketAddr) -> Result<Self, Failure> {
        let what = || "cannot listen on loopback";
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.or_fail(Exit::Failed, what)?;
        let address = listener.local_addr().or_fail(Exit::Failed, what)?;
        let shared = Arc::new(Shared {
            target,
            cuts: watch::Sender::new(0),
            refusing: watch::Sender::new(false),
            open: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection, refuses new ones for `pause`, and says how many were closed.
    pub(super) async fn cut(&self, pause: Duration) -> u64 {
        self.shared.refusing.send_replace(true);
        let closed = self.shared.open.load(Ordering::SeqCst);
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
        tokio::time::sleep(pause).await;
        self.shared.refusing.send_replace(false);
        closed
    }

    /// How many connections were made through it so far.
    pub(super) fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Stops listening, so that somebody else may have the port.
    pub(super) async fn close(self) {
        self.accepting.abort();
        // Ends as cancelled; by then the listener is dropped.
        let _ = self.accepting.await;
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if *shared.refusing.borrow() {
            continue;
        }
        tokio::spawn(forward(stream, Arc::clone(&shared)));
    }
}

async fn forward(mut near: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    let Ok(mut far) = TcpStream::connect(shared.target).await else { return };
    shared.accepted.fetch_add(1, Ordering::SeqCst);
    shared.open.fetch_add(1, Ordering::SeqCst);
    tokio::select! {
        copied = tokio::io::copy_bidirectional(&mut near, &mut far) => drop(copied),
        _ = cuts.changed() => {}
    }
    shared.open.fetch_sub(1, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_cut_ends_what_is_open_and_what_comes_later_passes() {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to(target.local_addr().unwrap()).await.unwrap();
        let echo = tokio::spawn(async move {
            loop {
                let (mut stream, _) = target.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).await.is_ok() {
                        stream.write_all(&byte).await.unwrap();
                    }
                });
            }
        });
        let mut first = TcpStream::connect(proxy.address()).await.unwrap();
        let mut byte = [0];
        first.write_all(b"a").await.unwrap();
        first.read_exact(&mut byte).await.unwrap();
        assert_eq!(proxy.cut(Duration::ZERO).await, 1);
        assert!(first.read_exact(&mut byte).await.is_err());
        let mut second = TcpStream::connect(proxy.address()).await.unwrap();
        second.write_all(b"b").await.unwrap();
        second.read_exact(&mut byte).await.unwrap();
        assert_eq!((byte, proxy.accepted()), (*b"b", 2));
        echo.abort();
    }
}
