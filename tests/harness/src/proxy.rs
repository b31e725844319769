//! A TCP proxy that cuts: what stands between two programs in a test, and fails when told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// A running proxy. Stops, and cuts everything, when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    cut: broadcast::Sender<()>,
    closed: Arc<AtomicBool>,
    accept: JoinHandle<()>,
}

impl Proxy {
    /// Starts on a free port of loopback, towards a port of loopback.
    ///
    /// # Errors
    ///
    /// Returns why it could not listen.
    pub async fn start(target: u16) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.context("the proxy cannot listen")?;
        let address = listener.local_addr()?;
        let (cut, _) = broadcast::channel(1);
        let closed = Arc::new(AtomicBool::new(false));
        let (cuts, shut) = (cut.clone(), Arc::clone(&closed));
        let accept = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if shut.load(Ordering::SeqCst) {
                    continue;
                }
                let mut cut = cuts.subscribe();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(("127.0.0.1", target)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        Ok(Self { address, cut, closed, accept })
    }

    /// The proxy's port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cuts every connection; new ones pass.
    pub fn cut(&self) {
        let _ = self.cut.send(());
    }

    /// Cuts every connection and lets none pass.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Lets connections pass again.
    pub fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
        self.close();
    }
}
