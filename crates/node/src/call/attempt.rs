//! One attempt: a signed request, and as much of the answer as arrives.

use std::sync::Arc;
use std::time::Duration;

use landbridge_planted::planted;
use landbridge_proto::machine::caller::{ForeignAccept, Input};
use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::contract::EntryPhase;
use landbridge_proto::machine::receive::{Mismatch, Reception, SealedBatch};
use landbridge_proto::trust::verified::{Verified, VerifyError};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Attach, Body, Op, Refusal, Start, Target};
use landbridge_proto::wire::sse::{Event, SseReader};
use landbridge_proto::wire::stream::{Accept, Outcome, SideEffects};
use tokio::sync::OwnedSemaphorePermit;

use super::renewed::Shown;
use super::{Attempt, DriveError, Driver, verdict};
use crate::evidence::Found;
use crate::net::client::ResponseStream;
use crate::peers::{PeerError, Reply, Signed, is_renewed};

/// Why a stream was left.
#[derive(Debug)]
pub(super) enum Left {
    /// It ended or fell silent; what came before counts.
    Ended,
    /// A key that we do not know signed: perhaps a root was missed.
    Renewed,
    /// The bytes did not fit together.
    Mismatch(String),
    /// The peer contradicted itself under its own signature.
    Equivocation(Box<Found>),
    /// Something else comes first.
    Interrupted,
    /// A step was not made.
    Drive(DriveError),
}

/// Why there is nothing to read.
enum AskError {
    Interrupted,
    Peer(PeerError),
}

impl From<PeerError> for AskError {
    fn from(error: PeerError) -> Self {
        Self::Peer(error)
    }
}

impl From<PeerError> for Left {
    fn from(_: PeerError) -> Self {
        Self::Renewed
    }
}

impl From<DriveError> for Left {
    fn from(error: DriveError) -> Self {
        Self::Drive(error)
    }
}

impl Driver {
    /// Asks once, and reads until the stream ends or something else comes first.
    pub(super) async fn attempt(&mut self) -> Result<Attempt, DriveError> {
        let peer = self.entry().peer.clone();
        if self.entry().phase == EntryPhase::AwaitAccept && self.asking.is_none() {
            self.asking = self.place_to_ask().await;
            if self.asking.is_none() {
                return Ok(Attempt::Interrupted);
            }
        }
        let held = self.held();
        let before = std::mem::replace(&mut self.asked, true);
        let asked = self.ask(held).await;
        let (signed, reply) = match asked {
            Ok(asked) => asked,
            Err(AskError::Interrupted) => return Ok(Attempt::Interrupted),
            Err(AskError::Peer(PeerError::NotActive)) => return Ok(self.not_active()),
            Err(AskError::Peer(error)) => {
                if let PeerError::Unsigned { have: Some(have), .. } = &error {
                    self.roots_from = Some(*have);
                }
                self.renewed = error.is_renewed();
                let unsigned = matches!(error, PeerError::Unsigned { .. });
                if unsigned && matches!(self.core.unfinished_pairing(&peer), Ok(Some(_))) {
                    self.say("the other side has not accepted the pairing yet");
                } else {
                    self.say(error.problem().detail.unwrap_or_default());
                }
                tracing::info!(run = %self.entry().run, %peer, %error, "attempt failed");
                return Ok(Attempt::Nothing);
            }
        };
        match reply {
            Reply::Refused(refusal) => {
                let problem = refusal.value().problem.clone();
                let later = problem.retry_after_ms.map(|ms| ms.div_ceil(1000));
                let later = later.map_or(String::new(), |s| format!("; it says to come in {s} s"));
                self.say(format!("the peer answered {problem}{later}"));
                //= PRB-6
                if !problem.is_verdict() {
                    self.shows_status |= problem.code() == Some(Code::RolledBack);
                    if let Some(have) = problem.have {
                        self.roots_from = Some(have);
                    }
                    return Ok(self.wait_as_told(&problem).await);
                }
                let accepted = self.entry().phase != EntryPhase::AwaitAccept;
                //= STR-43
                if accepted && !is_the_end(&problem) {
                    return Ok(self.wait_as_told(&problem).await);
                }
                // A start that was sent before may have been taken: what the peer did of it is not told.
                let taken = accepted || (before && problem.code() == Some(Code::PeerRevoked));
                let (outcome, problem) = verdict(&problem, taken);
                Ok(Attempt::Over(outcome, problem))
            }
            Reply::Open(response) => {
                self.say("streaming");
                let before = self.entry().seq;
                let left = self.read(&signed, response.into_body()).await;
                let progressed = self.entry().seq > before;
                self.left(left, progressed).await
            }
        }
    }

    /// Waits until few enough starts of the tenant pair are undecided; `None`: something else comes first.
    async fn place_to_ask(&self) -> Option<OwnedSemaphorePermit> {
        let askers = Arc::clone(&self.askers);
        if let Ok(place) = Arc::clone(&askers).try_acquire_owned() {
            return Some(place);
        }
        self.say("waits until earlier starts of its tenants were decided");
        tokio::select! {
            place = askers.acquire_owned() => place.ok(),
            () = self.interrupted() => None,
        }
    }

    /// What a peer that must not be talked to means for the run.
    fn not_active(&self) -> Attempt {
        let state = self.core.trust.state();
        let peer = &self.entry().peer;
        if state.quarantined.contains(peer) {
            let problem = Problem::new(Code::Equivocation)
                .with_detail("the executor is quarantined")
                .with_side_effects(SideEffects::Unknown);
            return Attempt::Over(Outcome::Lost, problem);
        }
        let known = state.federation.as_ref().and_then(|document| document.peer(peer));
        let revoked = known.is_none_or(|peer| {
            peer.status == landbridge_proto::wire::document::PeerStatus::Revoked
        });
        if revoked {
            let lost = "the executor is not a peer any more";
            return Attempt::Over(
                Outcome::Lost,
                landbridge_proto::machine::caller::Caller::lost(lost),
            );
        }
        self.say("the peer is suspended");
        Attempt::Nothing
    }

    /// What we hold under the executor's signature: one that lost its history must see that it did,
    /// before it says anything that contradicts it.
    //= ID-43
    fn held(&mut self) -> Vec<Envelope> {
        let entry = self.entry();
        let accept = entry.accept.as_ref().map(String::as_bytes).map(Envelope::parse);
        let mut held: Vec<_> = accept.into_iter().filter_map(Result::ok).collect();
        if self.seal.is_none() && entry.seq > 0 {
            let seals = self.core.store.reads().received_seals(&entry.run).unwrap_or_default();
            self.seal = seals.last().and_then(|seal| Envelope::parse(seal.seal.as_bytes()).ok());
        }
        held.extend(self.seal.clone());
        if self.shows_status {
            let state = self.core.trust.state();
            let status = state.peers.get(&self.entry().peer).and_then(|view| view.status());
            held.extend(status.map(|status| status.newest().envelope().clone()));
        }
        held
    }

    async fn ask(&self, held: Vec<Envelope>) -> Result<(Signed, Reply), AskError> {
        let entry = self.entry();
        // A slow peer must not keep us from what a client or a person decides meanwhile.
        let leave = async {
            match planted!("slow_news_waited_for") {
                true => std::future::pending().await,
                false => self.interrupted().await,
            }
        };
        tokio::select! {
            known = self.know_it() => known?,
            () = leave => return Err(AskError::Interrupted),
        }
        //= ID-40
        if self.must_leave() {
            return Err(AskError::Interrupted);
        }
        let (op, body) = match (&entry.phase, &entry.remote) {
            (EntryPhase::Streaming, Some(run)) => {
                let after = if self.from_start { 0 } else { entry.seq };
                (Op::Attach, Body::Attach(Attach { after, target: Target::Run(run.clone()) }))
            }
            _ => {
                //= REQ-7
                let mut start: Start =
                    serde_json::from_str(&entry.body).map_err(|_| PeerError::NotActive)?;
                if planted!("key_renewed") {
                    let key = self.core.new_jti().ok().and_then(|jti| jti.as_str().parse().ok());
                    start.idempotency_key = key.unwrap_or(start.idempotency_key);
                }
                (Op::Start, Body::Start(Box::new(start)))
            }
        };
        let trace = entry.traceparent.clone().filter(|_| !planted!("trace_forgotten"));
        let signed = self.core.sign_request(&entry.peer, &entry.tenant, body, trace)?;
        tokio::select! {
            reply = self.core.send(&entry.peer, op.path(), &signed, self.roots_from, held) => {
                Ok((signed, reply?))
            }
            () = self.interrupted() => Err(AskError::Interrupted),
        }
    }

    /// Makes sure that what the peer signs can be verified.
    async fn know_it(&self) -> Result<(), PeerError> {
        let peer = &self.entry().peer;
        if self.renewed {
            //= ID-52
            self.core.refresh_peer(peer).await?;
        }
        self.core.freshen(peer).await
    }

    /// Asks for the peer's next root, unless something else comes first.
    //= ID-52
    pub(super) async fn renew(&self, have: u64) -> Result<(), Left> {
        tokio::select! {
            renewed = self.core.renew(&self.entry().peer, have) => Ok(renewed?),
            () = self.left_alone() => Err(Left::Interrupted),
            () = self.must_not_read() => Err(Left::Interrupted),
        }
    }

    /// Waits as long as the peer says, unless something else comes first.
    async fn wait_as_told(&self, problem: &Problem) -> Attempt {
        let Some(ms) = problem.retry_after_ms else { return Attempt::Nothing };
        let ms = i64::try_from(ms).unwrap_or(i64::MAX).min(self.core.settings.retry_ms_max);
        let at = self.core.now().plus_ms(ms);
        if planted!("deaf_while_told_to_wait") {
            self.core.clock.sleep_until(at).await;
            return Attempt::Nothing;
        }
        tokio::select! {
            () = self.core.clock.sleep_until(at) => Attempt::Nothing,
            () = self.interrupted() => Attempt::Interrupted,
        }
    }

    async fn left(&mut self, left: Left, progressed: bool) -> Result<Attempt, DriveError> {
        match left {
            Left::Drive(error) => Err(error),
            Left::Interrupted => Ok(Attempt::Interrupted),
            //= STR-22
            Left::Renewed => {
                self.renewed = true;
                self.say(
                    "the peer signs with a key that is not known here; its next root is asked for",
                );
                Ok(if progressed { Attempt::Progress } else { Attempt::Nothing })
            }
            Left::Ended if progressed => Ok(Attempt::Progress),
            Left::Ended => Ok(Attempt::Nothing),
            Left::Mismatch(what) => {
                //= STR-13
                //= STR-23
                tracing::warn!(run = %self.entry().run, what, "a stream did not fit together");
                metrics::counter!(crate::observe::STREAM_MISMATCHES).increment(1);
                self.say(format!("the stream did not fit together: {what}"));
                self.from_start = true;
                if planted!("mismatch_is_evidence") {
                    let peer = self.entry().peer.clone();
                    let state = self.core.trust.state();
                    let status = state.status.clone();
                    if let Some(first) = status {
                        use landbridge_proto::machine::evidence::Proof;
                        let proof = Proof::Statuses { second: first.clone(), first };
                        let found = crate::evidence::Found::new(proof, None);
                        let _ = self.core.trust.quarantine(&self.core, &peer, &found).await;
                    }
                }
                Ok(if progressed { Attempt::Progress } else { Attempt::Nothing })
            }
            Left::Equivocation(found) => {
                let peer = self.entry().peer.clone();
                let what = found.story();
                if let Err(error) = self.core.trust.quarantine(&self.core, &peer, &found).await {
                    tracing::error!(%peer, %error, "a quarantine was not made durable");
                }
                let problem = Problem::new(Code::Equivocation)
                    .with_detail(what)
                    .with_side_effects(SideEffects::Unknown);
                Ok(Attempt::Over(Outcome::Lost, problem))
            }
        }
    }

    /// Reads a stream until it ends, is silent for too long, or does not fit.
    async fn read(&mut self, signed: &Signed, mut body: ResponseStream) -> Left {
        (self.renewed, self.unsealed) = (false, None);
        let mut reader = SseReader::new();
        let mut reception: Option<Reception> = None;
        //= STR-17
        let mut silence = Duration::from_millis(self.core.settings.silence_ms);
        if planted!("silence_waited_for") {
            silence = Duration::from_secs(86_400);
        }
        let mut heard = tokio::time::Instant::now();
        loop {
            let chunk = tokio::select! {
                chunk = tokio::time::timeout_at(heard + silence, body.chunk()) => chunk,
                () = self.left_alone() => return Left::Interrupted,
                () = self.must_not_read() => return Left::Interrupted,
            };
            let Ok(Some(Ok(chunk))) = chunk else { return Left::Ended };
            if planted!("any_byte_is_a_sign_of_life") {
                heard = tokio::time::Instant::now();
            }
            let events = match reader.push(&chunk) {
                Ok(events) => events,
                Err(fault) => return Left::Mismatch(fault.to_string()),
            };
            for event in events {
                if let Err(left) = self.event(signed, &mut reception, event).await {
                    return left;
                }
                heard = tokio::time::Instant::now();
                self.core.contacts.reached(&self.entry().peer, self.core.now());
                if self.entry().phase == EntryPhase::Settled {
                    return Left::Ended;
                }
            }
        }
    }

    /// Returns once nothing is read from the peer any more.
    //= ID-64
    async fn must_not_read(&self) {
        if planted!("reader_outlives_revocation") {
            std::future::pending::<()>().await;
        }
        self.core.until_barred(&self.entry().peer).await;
    }

    async fn event(
        &mut self,
        signed: &Signed,
        reception: &mut Option<Reception>,
        event: Event,
    ) -> Result<(), Left> {
        match (event, reception.as_mut()) {
            //= STR-2
            (Event::Accept(envelope), None) => {
                *reception = Some(self.accept(signed, &envelope).await?);
                Ok(())
            }
            (Event::Accept(_), Some(_)) => Err(Left::Mismatch("a second accept".to_owned())),
            (_, None) => Err(Left::Mismatch("a stream begins with its accept".to_owned())),
            (Event::Status(envelope), Some(_)) => self.status(envelope).await,
            (Event::Problem(envelope), Some(_)) => Err(self.told(signed, &envelope)),
            (Event::Alive(seal), Some(reception)) => {
                let view = self.view()?;
                let heard = reception.alive(&view, &seal, self.core.now());
                heard.map_err(|fault| self.misfit(&fault, &seal))?;
                self.confirm().await
            }
            (Event::Frames(batch), Some(reception)) => {
                let lines = batch.frames().iter().map(|line| line.as_str().to_owned()).collect();
                //= STR-15
                let view = self.view()?;
                let before = reception.chain();
                let taken = reception.take(&view, lines, batch.seal(), self.core.now());
                let taken = taken.map_err(|fault| self.misfit(&fault, batch.seal()))?;
                if batch.id() != taken.chain().seq() {
                    return Err(Left::Mismatch("the event's id is not its last frame".to_owned()));
                }
                self.confirm().await?;
                self.compare(before, &taken)?;
                self.step(Input::Received(taken)).await?;
                // What was read again fits the journal to its end: the next attempt goes on from there.
                self.from_start &= reception.chain().seq() < self.entry().seq;
                self.seal = Some(batch.seal().clone());
                Ok(())
            }
        }
    }

    async fn accept(&mut self, signed: &Signed, envelope: &Envelope) -> Result<Reception, Left> {
        let Shown { accept, by_present_key } = self.verify_accept(envelope).await?;
        match self.caller.check_accept(&accept, self.core.own()) {
            Ok(()) => {}
            Err(fault @ ForeignAccept::SecondAccept) if by_present_key => {
                let found = self.accept_speaks(&accept);
                return Err(found.map_or_else(
                    || Left::Mismatch(fault.to_string()),
                    |found| Left::Equivocation(Box::new(found)),
                ));
            }
            Err(fault) => return Err(Left::Mismatch(fault.to_string())),
        }
        if self.entry().phase == EntryPhase::AwaitAccept {
            let request = String::from_utf8_lossy(&signed.envelope.to_bytes()).into_owned();
            self.unsealed = Some((accept.clone(), request));
            if by_present_key || planted!("unsealed_accept_taken") {
                self.confirm().await?;
            }
        }
        Ok(self.reception(&accept))
    }

    /// Takes the accept that waited for a present key's word.
    //= ID-53
    async fn confirm(&mut self) -> Result<(), Left> {
        if let Some((accept, request)) = self.unsealed.take()
            && self.entry().phase == EntryPhase::AwaitAccept
        {
            self.step(Input::Accepted { accept, request }).await?;
        }
        Ok(())
    }

    /// Where this attempt's stream begins: behind what is in the journal, or at the first frame.
    fn reception(&self, accept: &Verified<Accept>) -> Reception {
        let entry = self.entry();
        match entry.head {
            Some(head) if !self.from_start => Reception::after(accept, entry.seq, head),
            _ => Reception::start(accept),
        }
    }

    /// Why the executor ends the connection: for people, and no statement about the run.
    //= STR-46
    fn told(&self, signed: &Signed, envelope: &Envelope) -> Left {
        let view = match self.view() {
            Ok(view) => view,
            Err(left) => return left,
        };
        match view.verify::<Refusal>(envelope, self.core.now()) {
            Ok(refusal) if refusal.value().request == signed.digest => {
                let problem = &refusal.value().problem;
                self.say(format!("the peer ended the stream: {problem}"));
                let code = problem.code_text().to_owned();
                metrics::counter!(crate::observe::STREAMS_ENDED, "code" => code).increment(1);
                Left::Ended
            }
            Ok(_) => Left::Mismatch("a problem that answers another request".to_owned()),
            Err(fault) => unverified(&fault),
        }
    }

    async fn status(&mut self, envelope: Envelope) -> Result<(), Left> {
        let view = self.view()?;
        let learned = landbridge_proto::machine::admission::Learned {
            view: Some(view),
            roots: Vec::new(),
            status: Some(envelope),
        };
        let have = learned.view.as_ref().map_or(0, |view| view.chain().version());
        match self.core.trust.learn(&self.core, &learned).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_full() => Err(Left::Drive(DriveError::Full)),
            Err(error) if error.is_renewed() => self.renew(have).await,
            // Its own haste is no reason to suspect the way.
            Err(crate::trust::TrustError::TooOften { .. }) => Err(Left::Ended),
            Err(error) => Err(Left::Mismatch(error.to_string())),
        }
    }

    /// Compares frames that were received before with what is in the journal.
    fn compare(&self, before: Chain, batch: &SealedBatch) -> Result<(), Left> {
        //= STR-14
        let entry = self.entry();
        if batch.first() > entry.seq || planted!("journal_not_compared") {
            return Ok(());
        }
        let known = usize::try_from(entry.seq + 1 - batch.first()).unwrap_or(usize::MAX);
        let again = &batch.lines()[..known.min(batch.lines().len())];
        let reads = self.core.store.reads();
        let journal = reads
            .received(&entry.run, batch.first() - 1, again.len(), limit::BATCH_BYTES_MAX)
            .map_err(|fault| Left::Mismatch(fault.to_string()))?;
        if journal == again {
            return Ok(());
        }
        //= STR-24
        let what =
            || Left::Mismatch(format!("other frames than the journal's from {}", batch.first()));
        let found = self.batch_speaks(before, batch);
        Err(found.map_or_else(what, |found| Left::Equivocation(Box::new(found))))
    }

    /// Bytes that do not fit are the way's fault, unless their seal alone speaks against the peer.
    fn misfit(&self, fault: &Mismatch, seal: &Envelope) -> Left {
        match (fault, self.seal_speaks(seal)) {
            (Mismatch::Seal(fault), _) => unverified(fault),
            (_, Some(found)) => Left::Equivocation(Box::new(found)),
            (other, None) => Left::Mismatch(other.to_string()),
        }
    }

    pub(super) fn view(&self) -> Result<landbridge_proto::trust::peer::PeerView, Left> {
        self.core.peer_view(&self.entry().peer).map_err(|_| Left::Ended)
    }
}

/// Whether a refusal means that an accepted run can have no sealed terminal any more. Others are of the
/// moment: a person who suspended us may think better of it, and the run goes on meanwhile.
fn is_the_end(problem: &Problem) -> bool {
    //= STR-29
    matches!(
        problem.code(),
        Some(
            Code::NotFound
                | Code::CursorGone
                | Code::CursorAhead
                | Code::LostHistory
                | Code::PeerRevoked
        )
    )
}

/// A peer whose documents must be refreshed is left, not suspected.
pub(super) fn unverified(fault: &VerifyError) -> Left {
    match fault {
        fault if is_renewed(fault) => Left::Renewed,
        VerifyError::StatusStale { .. } | VerifyError::StatusMissing => Left::Ended,
        // It said so itself, and goes on with another key or not at all.
        VerifyError::SignedWithRevokedKey { .. } => Left::Ended,
        other => Left::Mismatch(other.to_string()),
    }
}
