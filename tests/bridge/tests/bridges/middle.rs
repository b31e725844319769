//! Somebody between two bridges who loses answers: at every byte, and after the executor has acted.
//!
//! It ends TLS on both sides with the executor's own key, so it sees what the bridges say and can stop
//! at a byte of it. That is more than a network can do, and still it proves nothing about a bridge: what
//! is lost is lost, nothing is changed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use landbridge_harness::bridge::{Bridge, Pair, free_address};
use landbridge_node::identity::Identity;
use landbridge_node::net::tls::{Trust, client_config};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What becomes of the answer to a start.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// It is read and dropped, the connection with it.
    Whole,
    /// So many bytes of the body pass.
    After(usize),
}

/// Who stands between.
pub(crate) struct Middle {
    losses: Arc<Mutex<VecDeque<Loss>>>,
    lost: Arc<Mutex<Vec<usize>>>,
    accepting: JoinHandle<()>,
}

impl Middle {
    /// Steps before the pair's executor, which listens elsewhere from now on.
    pub(crate) async fn before(pair: &mut Pair) -> Self {
        let (known, behind) = (pair.b.listen(), free_address().unwrap());
        pair.b.stop().await.unwrap();
        pair.b.set("LANDBRIDGE_FEDERATION_LISTEN", &behind.to_string());
        pair.b.serve().await.unwrap();
        let listener = TcpListener::bind(known).await.unwrap();
        let (accept, connect) = ends(&pair.b);
        let (losses, lost) = <(Arc<Mutex<VecDeque<Loss>>>, Arc<Mutex<Vec<usize>>>)>::default();
        let (plan, told) = (Arc::clone(&losses), Arc::clone(&lost));
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (accept, connect) = (accept.clone(), connect.clone());
                let (plan, told) = (Arc::clone(&plan), Arc::clone(&told));
                tokio::spawn(async move {
                    // A broken connection is what this is for.
                    let _ = pass(near, behind, accept, connect, &plan, &told).await;
                });
            }
        });
        Self { losses, lost, accepting }
    }

    /// The answer to the next start that nothing is planned for is lost so.
    pub(crate) fn lose(&self, loss: Loss) {
        self.losses.lock().unwrap().push_back(loss);
    }

    /// Losses that no start has met yet.
    pub(crate) fn left(&self) -> usize {
        self.losses.lock().unwrap().len()
    }

    /// How many bytes of each body passed whose answer was lost, in the order of the losses.
    pub(crate) fn lost(&self) -> Vec<usize> {
        self.lost.lock().unwrap().clone()
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// HTTP/1.1 on both sides, so that what passes can be counted.
fn ends(executor: &Bridge) -> (TlsAcceptor, TlsConnector) {
    let identity = Identity::load(executor.home()).unwrap();
    let mut server = (*identity.tls().server_config().unwrap()).clone();
    let mut client = (*client_config(Trust::pinned(identity.tls().spki())).unwrap()).clone();
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

async fn pass(
    near: TcpStream,
    behind: SocketAddr,
    accept: TlsAcceptor,
    connect: TlsConnector,
    plan: &Mutex<VecDeque<Loss>>,
    lost: &Mutex<Vec<usize>>,
) -> std::io::Result<()> {
    let mut near = accept.accept(near).await?;
    let mut request = [0; 64];
    let first = near.read(&mut request).await?;
    let far = TcpStream::connect(behind).await?;
    let name = "executor.invalid".try_into().map_err(std::io::Error::other)?;
    let mut far = connect.connect(name, far).await?;
    far.write_all(&request[..first]).await?;
    let starts = request[..first].starts_with(b"POST /federation/v1/runs HTTP");
    let loss = starts.then(|| plan.lock().unwrap().pop_front()).flatten();
    let Some(loss) = loss else {
        return tokio::io::copy_bidirectional(&mut near, &mut far).await.map(drop);
    };
    let (mut from_near, mut to_near) = tokio::io::split(near);
    let (mut from_far, mut to_far) = tokio::io::split(far);
    tokio::select! {
        sent = tokio::io::copy(&mut from_near, &mut to_far) => drop(sent?),
        passed = answer(&mut from_far, &mut to_near, loss) => lost.lock().unwrap().push(passed?),
    }
    Ok(())
}

/// Lets of the answer pass what is not lost; gives how much of its body that was.
async fn answer(
    far: &mut (impl AsyncRead + Unpin),
    near: &mut (impl AsyncWrite + Unpin),
    loss: Loss,
) -> std::io::Result<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(far.read_u8().await?);
    }
    let Loss::After(bytes) = loss else { return Ok(0) };
    near.write_all(&head).await?;
    let mut passed = 0;
    while passed < bytes {
        let mut body = [0; 1024];
        let most = body.len().min(bytes - passed);
        let count = far.read(&mut body[..most]).await?;
        if count == 0 {
            break;
        }
        near.write_all(&body[..count]).await?;
        near.flush().await?;
        passed += count;
    }
    Ok(passed)
}
