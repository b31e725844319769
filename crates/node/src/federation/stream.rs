//! Streams: views on a run's durable log. Losing one changes nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use landbridge_planted::planted;
use landbridge_proto::machine::admission::Admitted;
use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::contract::{RunPhase, RunRow};
use landbridge_proto::machine::history::is_abandoned;
use landbridge_proto::machine::outgoing::{Durable, Sealed, seal_over};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, KeyId, RunId};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Attach, Refusal};
use landbridge_proto::wire::sse::{Batch, Event, FrameLine};
use landbridge_proto::wire::stream::{One, Seen};

use super::Federation;
use super::answer::Found;
use super::history::lost_history;
use crate::core::{Core, bug, unreadable};
use crate::net::ResponseBody;
use crate::net::stream::{StreamEnd, StreamSettings, StreamWriter, channel};
use crate::standing::Barred;

impl Federation {
    pub(super) async fn attach(
        &self,
        admitted: &Admitted,
        attach: &Attach,
    ) -> Result<Response<ResponseBody>, Problem> {
        self.accept_jti(admitted, "run_attached").await?;
        match self.find(admitted, &attach.target)? {
            Found::Run(row) => self.stream(admitted, &row.run, attach.after).await,
            Found::Blocked | Found::Nothing(_) => Err(Problem::new(Code::NotFound)),
        }
    }

    /// Opens a stream on a run, after frame `after`.
    pub(super) async fn stream(
        &self,
        admitted: &Admitted,
        run: &RunId,
        after: u64,
    ) -> Result<Response<ResponseBody>, Problem> {
        let reads = self.core.store.reads();
        let row = reads.run(run).map_err(|fault| unreadable(&fault))?;
        let row = row.ok_or_else(|| Problem::new(Code::NotFound))?;
        //= REQ-64
        if is_abandoned(&row) {
            return Err(lost_history());
        }
        //= STR-21
        if after > row.seq {
            return Err(Problem::new(Code::CursorAhead));
        }
        let chain = Durable::chain_at(reads, &row, after).map_err(|fault| unreadable(&fault))?;
        if chain.seq() != after {
            return Err(Problem::new(Code::CursorGone));
        }
        let accept = Envelope::parse(row.accept.as_bytes())
            .map_err(|error| bug("a stored accept cannot be read", &error))?;
        let (writer, body) = channel(StreamSettings::default());
        let sender = Sender {
            core: Arc::clone(&self.core),
            asker: Asker {
                core: Arc::clone(&self.core),
                peer: admitted.owner().caller.clone(),
                keys: admitted.request().signers().cloned().collect(),
            },
            told: admitted.request().value().seen,
            request: admitted.request().digest(),
            writer,
            chain,
        };
        tokio::spawn(sender.run(row.run, accept));
        let mut response = Response::new(body.map_err(Into::into).boxed_unsync());
        let media = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(CONTENT_TYPE, media);
        response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// Sends one stream.
struct Sender {
    core: Arc<Core>,
    asker: Asker,
    /// The newest of our statuses that the peer was told.
    told: Seen,
    /// The request that opened the stream.
    request: Digest,
    writer: StreamWriter,
    chain: Chain,
}

/// Who opened the stream.
struct Asker {
    core: Arc<Core>,
    peer: GatewayId,
    /// The keys that signed the request.
    keys: Vec<KeyId>,
}

impl Asker {
    /// Whether the stream may go on.
    //= STR-42
    //= ID-61
    fn check(&self) -> Result<(), Ended> {
        if planted!("stream_outlives_revocation") {
            return Ok(());
        }
        if let Some(barred) = self.core.barred(&self.peer) {
            return Err(Ended::Barred(barred));
        }
        //= ID-66
        let state = self.core.trust.state();
        let revoked = state.peers.get(&self.peer).is_some_and(|view| {
            let mut keys = self.keys.iter();
            keys.any(|kid| view.revocation(kid).is_some())
        });
        match revoked && !planted!("revoked_askers_stream_goes_on") {
            true => Err(Ended::Key),
            false => Ok(()),
        }
    }

    /// Returns once the stream must end.
    async fn until_ended(&self) -> Ended {
        let mut changes = self.core.changes();
        loop {
            if let Err(ended) = self.check() {
                return ended;
            }
            changes.next().await;
        }
    }
}

/// Why a stream ends before the terminal; the peer attaches again.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the reader is gone or too slow")]
    Reader(#[from] StreamEnd),
    #[error("the store cannot be read")]
    Store(#[from] landbridge_store::Fault),
    #[error("the run is gone")]
    Gone,
    #[error("not signed")]
    Sign(#[from] landbridge_proto::trust::signer::SignError),
    #[error("our own frames make no event: {0}")]
    Bug(String),
    #[error("nothing is done with the peer any more: {0:?}")]
    Barred(Barred),
    #[error("the key that asked for it was revoked")]
    Key,
    #[error("our own key for streams is revoked: nothing more can be sealed")]
    Keyless,
    #[error("the bridge is draining")]
    Draining,
    #[error("the bridge was rolled back")]
    RolledBack,
}

impl Sender {
    async fn run(mut self, run: RunId, accept: Envelope) {
        metrics::gauge!(crate::observe::STREAMS).increment(1.0);
        let ended = self.send_all(&run, accept).await;
        metrics::gauge!(crate::observe::STREAMS).decrement(1.0);
        match ended {
            Ok(()) => {}
            Err(Ended::Reader(end)) => tracing::debug!(%run, %end, "stream ended"),
            Err(error) => {
                tracing::info!(%run, %error, "stream ended before its run");
                let told = match error {
                    Ended::Barred(barred) => self.send_last(barred.problem()).await,
                    //= ID-66
                    Ended::Key => self.send_last(Problem::new(Code::VerificationFailed)).await,
                    Ended::RolledBack => self.send_last(Problem::new(Code::RolledBack)).await,
                    // Nothing says so under a signature; what was sent before, the news of it, arrives.
                    Ended::Keyless => Ok(()),
                    Ended::Draining => self.send_last(Problem::new(Code::Draining)).await,
                    _ => Err(error),
                };
                if told.is_err() {
                    self.writer.break_off();
                }
            }
        }
    }

    async fn send_all(&mut self, run: &RunId, accept: Envelope) -> Result<(), Ended> {
        let mut changes = self.core.changes();
        self.asker.check()?;
        self.send(&Event::Accept(accept)).await?;
        let wake = self.core.wakes.of(run);
        let mut quiet_since = self.core.now();
        loop {
            // Subscribed before the log is read: what comes in between wakes us.
            let more = wake.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            self.asker.check()?;
            let row = self.core.store.reads().run(run)?.ok_or(Ended::Gone)?;
            self.send_status().await?;
            //= ID-60
            let keyless = self.core.identity.present().is_withdrawn(Role::Stream, self.core.now());
            if keyless && !planted!("keyless_stream_stays_open") {
                return Err(Ended::Keyless);
            }
            while let Some(batch) = Durable::read(self.core.store.reads(), &row, self.chain)? {
                self.asker.check()?;
                let sealed = self.seal(batch, &row)?;
                self.send_batch(&sealed).await?;
                quiet_since = self.core.now();
            }
            if row.phase == RunPhase::Settled && self.chain.seq() == row.seq {
                return Ok(());
            }
            let alive_at = quiet_since.plus_ms(limit::ALIVE_EVERY_MS);
            let core = Arc::clone(&self.core);
            tokio::select! {
                () = &mut more => {}
                () = changes.next() => {}
                () = core.clock.sleep_until(alive_at) => {
                    self.send_alive(&row).await?;
                    quiet_since = self.core.now();
                }
                () = self.writer.gone() => return Ok(()),
                //= STR-44
                () = core.draining.cancelled() => return Err(Ended::Draining),
                () = core.trust.halted().cancelled() => return Err(Ended::RolledBack),
            }
        }
    }

    fn seal(&self, batch: Durable, row: &RunRow) -> Result<Sealed, Ended> {
        //= ID-40
        if self.core.trust.halted().is_cancelled() {
            return Err(Ended::RolledBack);
        }
        let (identity, now) = (self.core.identity.present(), self.core.now());
        //= ID-51
        let signer = identity.signer(Role::Stream, now)?;
        Ok(batch.seal(signer, row, identity.root().version(), now)?)
    }

    async fn send_batch(&mut self, sealed: &Sealed) -> Result<(), Ended> {
        let bug = |error: landbridge_proto::wire::sse::Malformed| Ended::Bug(error.to_string());
        let lines = sealed.lines().iter().map(|line| FrameLine::new(line.as_bytes()));
        let lines = lines.collect::<Result<Vec<_>, _>>().map_err(bug)?;
        let batch = Batch::new(sealed.chain().seq(), lines, sealed.seal().clone()).map_err(bug)?;
        self.send(&Event::Frames(batch)).await?;
        self.chain = sealed.chain();
        Ok(())
    }

    //= STR-16
    async fn send_alive(&mut self, row: &RunRow) -> Result<(), Ended> {
        let (identity, now) = (self.core.identity.present(), self.core.now());
        let signer = identity.signer(Role::Stream, now)?;
        let root_version = identity.root().version();
        let seal = seal_over(signer, row, self.chain, false, root_version, now)?;
        self.send(&Event::Alive(seal)).await
    }

    //= STR-18
    async fn send_status(&mut self) -> Result<(), Ended> {
        let state = self.core.trust.state();
        if state.issued > self.told
            && let Some(status) = &state.status
        {
            self.send(&Event::Status(status.clone())).await?;
            self.told = state.issued;
        }
        Ok(())
    }

    /// Says why the stream ends, signed and bound to the request that opened it.
    /// It is the last event: a reader that does not make room for it at once never reads it.
    async fn send_last(&mut self, problem: Problem) -> Result<(), Ended> {
        let (identity, now) = (self.core.identity.present(), self.core.now());
        let refusal = Refusal {
            aud: self.asker.peer.clone(),
            iss: self.core.own().clone(),
            problem,
            request: self.request,
            root_version: identity.root().version(),
            t: now,
            v: One,
        };
        let envelope = identity.sign(&refusal, now)?;
        let sent = self.writer.send(Bytes::from(Event::Problem(envelope).to_bytes()));
        match tokio::time::timeout(LAST_WITHIN, sent).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Ended::Reader(StreamEnd::Stalled)),
        }
    }

    //= STR-1
    async fn send(&mut self, event: &Event) -> Result<(), Ended> {
        let piece = Bytes::from(event.to_bytes());
        // A reader that takes nothing must not keep a stream open that has to end.
        tokio::select! {
            biased;
            sent = self.writer.send(piece) => Ok(sent?),
            ended = self.asker.until_ended() => Err(ended),
        }
    }
}

/// How long a reader has to make room for a stream's last event.
const LAST_WITHIN: Duration = Duration::from_secs(1);
