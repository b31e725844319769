//! The federation plane: what peers may ask, over TLS, on a port of its own.
//!
//! Nothing here reads a credential of HTTP: who asks is proven by the envelopes of the body. Routes
//! are compared byte for byte, and whatever is not one of them does not exist.

pub mod admission;
mod answer;
mod catalog;
pub(crate) mod documents;
mod history;
mod introduction;
mod load;
pub mod pairing;
pub(crate) mod rate;
mod start;
mod stream;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use landbridge_planted::planted;
use landbridge_proto::machine::admission::{Admitted, Gate, Refused};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, Owner};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Body, Op, Refusal};
use landbridge_proto::wire::stream::One;

use crate::core::{Core, StepError};
use crate::execute::Executions;
use crate::halt::Halted;
use crate::line::Line;
use crate::net::ResponseBody;
use crate::net::limit_body::{self, BodyError, RequestBody};

/// The media type of an answer that is one envelope.
pub(crate) const ENVELOPE: &str = "application/vnd.gfp.envelope+json";
/// The media type of an unsigned problem.
const PROBLEM: &str = "application/problem+json";

/// The federation plane of one bridge.
#[derive(Clone)]
pub struct Federation {
    core: Arc<Core>,
    executions: Arc<Executions>,
    rates: Arc<rate::Rates<Owner>>,
    records: Arc<rate::Rates<GatewayId>>,
    answers: Arc<rate::Rates<GatewayId>>,
    line: Arc<Line<Owner>>,
    /// Held for reading from a run's commit until it is driven.
    beginning: Arc<tokio::sync::RwLock<()>>,
}

impl Federation {
    /// The plane over a bridge's core and its drivers.
    #[must_use]
    pub fn new(core: Arc<Core>, executions: Arc<Executions>) -> Self {
        Self {
            core,
            executions,
            rates: Arc::default(),
            records: Arc::default(),
            answers: Arc::default(),
            line: Arc::new(Line::new(load::PLACES)),
            beginning: Arc::default(),
        }
    }

    /// Answers one request. Of its headers only the media type and the framing have a say.
    //= REQ-5
    pub async fn answer(&self, request: Request<RequestBody>) -> Response<ResponseBody> {
        let mut path = request.uri().path().to_owned();
        if planted!("routes_folded") {
            path = path.to_ascii_lowercase().trim_end_matches('/').to_owned();
        }
        let route = Op::ALL.into_iter().find(|op| op.path() == path);
        let response = match (route, request.method().clone()) {
            _ if planted!("operator_token_heeded")
                && request.headers().contains_key(http::header::AUTHORIZATION) =>
            {
                whole(200, PROBLEM, b"{}".to_vec())
            }
            //= REQ-4
            _ if request.uri().query().is_some() => self.turn_away(&Problem::new(Code::NotFound)),
            (Some(op), Method::POST) => self.operation(op, request).await,
            (None, Method::POST) if path == pairing::PATH => self.pairing(request).await,
            (None, Method::POST) if path == admission::PATH => self.admission(request).await,
            (None, Method::GET) if documents::is_document(&path) => {
                documents::get(&self.core, &path)
                    .unwrap_or_else(|| self.turn_away(&Problem::new(Code::NotFound)))
            }
            (Some(_), _) => self.wrong_method("POST"),
            (None, _) if path == pairing::PATH || path == admission::PATH => {
                self.wrong_method("POST")
            }
            (None, _) if documents::is_document(&path) => self.wrong_method("GET"),
            (None, _) => self.turn_away(&Problem::new(Code::NotFound)),
        };
        let status = response.status().as_u16().to_string();
        let operation = route.map_or("other", |op| op.path().rsplit('/').next().unwrap_or("runs"));
        metrics::counter!(crate::observe::FEDERATION_REQUESTS, "op" => operation, "status" => status)
            .increment(1);
        response
    }

    /// Writes the counts of what strangers were refused, once a minute, and what is left when the bridge stops.
    pub async fn report_strangers(self) {
        self.core.tally.report(&self.core).await;
    }

    async fn operation(&self, op: Op, request: Request<RequestBody>) -> Response<ResponseBody> {
        let body = match self.body(request).await {
            Ok(body) => body,
            Err(problem) => return self.turn_away(&problem),
        };
        // A lost connection drops this future; what was begun must be finished all the same.
        let plane = self.clone();
        match tokio::spawn(async move { plane.decide(op, &body).await }).await {
            Ok(response) => response,
            Err(error) => self.turn_away(&crate::core::bug("an operation failed", &error)),
        }
    }

    async fn decide(&self, op: Op, body: &[u8]) -> Response<ResponseBody> {
        // A store that cannot be read is found out where the key is looked for.
        let keeps_keys =
            |owner: &Owner| self.core.store.reads().keeps_keys_of(owner).unwrap_or(true);
        let opened = {
            let state = self.core.trust.state();
            let gate = Gate {
                own: self.core.own(),
                min_proto: self.core.identity.present().root().root().min_proto,
                issued: state.issued,
                federation: state.federation.as_ref(),
                peers: &state.peers,
                quarantined: &state.quarantined,
                keeps_keys: &keeps_keys,
                now: self.core.now(),
            };
            gate.open(op, body)
        };
        //= ID-64
        if self.core.halt.is_on()
            && !planted!("halt_ignored_by_executor")
            && let Ok(admitted) = &opened
        {
            // Answered without the store, so it is counted only.
            let problem = Halted::problem();
            self.core.tally.refused(&problem);
            let (caller, digest) = (&admitted.owner().caller, admitted.request().digest());
            return self.sign_problem(caller, digest, &problem);
        }
        if self.core.identity.present().is_withdrawn(Role::Stream, self.core.now()) {
            return self.turn_away(&keyless());
        }
        match self.check_history(opened, body).await {
            Ok(admitted) => {
                if let Err(error) = self.core.trust.learn(&self.core, admitted.learned()).await {
                    if error.is_full() {
                        return self.refuse(&admitted, &Problem::from(StepError::Full)).await;
                    }
                    tracing::warn!(%error, "what a request taught was not kept");
                    return self.refuse(&admitted, &Problem::new(Code::StatusStale)).await;
                }
                self.admitted(admitted).await
            }
            Err(refused) => self.refused(*refused).await,
        }
    }

    async fn admitted(&self, admitted: Admitted) -> Response<ResponseBody> {
        match self.decided(&admitted).await {
            Ok(response) => response,
            Err(problem) => self.refuse(&admitted, &problem).await,
        }
    }

    async fn decided(&self, admitted: &Admitted) -> Result<Response<ResponseBody>, Problem> {
        let body = &admitted.request().value().body;
        // Work is stopped at once, however much of it waits to be begun.
        if let Body::Cancel(cancel) = body {
            return self.cancel(admitted, cancel).await;
        }
        let _turn = self.turn(admitted.owner()).await?;
        // Its turn may have come long after it was admitted.
        self.check_standing(admitted)?;
        match body {
            Body::Start(start) => self.start(admitted, start).await,
            Body::Attach(attach) => self.attach(admitted, attach).await,
            Body::Cancel(cancel) => self.cancel(admitted, cancel).await,
            Body::Inspect(target) => self.inspect(admitted, target).await,
            Body::Catalog => self.catalog(admitted).await,
        }
    }

    /// Refuses what was admitted before a person decided otherwise.
    //= ID-61
    fn check_standing(&self, admitted: &Admitted) -> Result<(), Problem> {
        let caller = &admitted.owner().caller;
        match self.core.barred(caller) {
            Some(barred) => Err(barred.problem()),
            None => Ok(()),
        }
    }

    async fn refused(&self, refused: Refused) -> Response<ResponseBody> {
        if let Err(error) = self.core.trust.learn(&self.core, &refused.learned).await
            && !error.is_full()
        {
            tracing::warn!(%error, "what a refused request taught was not kept");
        }
        match &refused.authenticated {
            Some((peer, request)) => {
                self.audit_refusal(peer, &refused.problem, &refused.story).await;
                self.sign_problem(peer, *request, &refused.problem)
            }
            None => {
                tracing::info!(
                    code = refused.problem.code_text(),
                    story = refused.story,
                    "refused"
                );
                self.turn_away(&refused.problem)
            }
        }
    }

    /// Takes the body of an operation.
    async fn body(&self, request: Request<RequestBody>) -> Result<Bytes, Problem> {
        //= REQ-3
        let json = request.headers().get(CONTENT_TYPE);
        if json.is_none_or(|value| value.as_bytes() != b"application/json") {
            return Err(Problem::new(Code::UnsupportedEncoding));
        }
        let collected = limit_body::collect(request, limit::OPERATION_BYTES_MAX).await;
        collected.map(|(_, bytes)| bytes).map_err(|error| match error {
            BodyError::TooLarge { .. } => Problem::new(Code::TooLarge),
            BodyError::Encoded => Problem::new(Code::UnsupportedEncoding),
            BodyError::TooSlow => Problem::new(Code::RequestTimeout),
            _ => Problem::new(Code::Malformed),
        })
    }

    /// Refuses an authenticated request: recorded, signed and bound to it.
    //= PRB-10
    async fn refuse(&self, admitted: &Admitted, problem: &Problem) -> Response<ResponseBody> {
        let story = problem.detail.clone().unwrap_or_default();
        self.audit_refusal(&admitted.owner().caller, problem, &story).await;
        self.sign_problem(&admitted.owner().caller, admitted.request().digest(), problem)
    }

    /// Refuses what cannot be authenticated, or what nothing can be signed for: counted, and unsigned.
    //= PRB-10
    fn turn_away(&self, problem: &Problem) -> Response<ResponseBody> {
        if !planted!("refusals_uncounted") {
            self.core.tally.refused(problem);
        }
        unsigned(problem)
    }

    /// Refuses the method of a route, and names the one that it takes (RFC 9110, 15.5.6).
    fn wrong_method(&self, allowed: &'static str) -> Response<ResponseBody> {
        let mut response = self.turn_away(&Problem::new(Code::MethodNotAllowed));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        response
    }

    //= PRB-1
    fn sign_problem(
        &self,
        peer: &GatewayId,
        request: Digest,
        problem: &Problem,
    ) -> Response<ResponseBody> {
        let (identity, now) = (self.core.identity.present(), self.core.now());
        let refusal = Refusal {
            aud: peer.clone(),
            iss: self.core.own().clone(),
            problem: problem.clone(),
            request,
            root_version: identity.root().version(),
            t: now,
            v: One,
        };
        match identity.sign(&refusal, now) {
            Ok(envelope) => with_retry_after(one_envelope(problem.status, &envelope), problem),
            Err(error) => unsigned(&crate::core::bug("a refusal was not signed", &error)),
        }
    }
}

/// What is told where nothing can be signed: no verdict, so the peer keeps what it asked for.
fn keyless() -> Problem {
    Problem::new(Code::Halted)
        .with_detail("this gateway revoked the key that it answers with, and has no other yet")
        .with_retry_after_ms(KEYLESS_RETRY_MS)
}

/// How soon to ask a gateway again that lacks a key, in milliseconds.
const KEYLESS_RETRY_MS: u64 = 5_000;

/// A response that is one envelope.
pub(crate) fn one_envelope(status: u16, envelope: &Envelope) -> Response<ResponseBody> {
    whole(status, ENVELOPE, envelope.to_bytes())
}

//= PRB-2
fn unsigned(problem: &Problem) -> Response<ResponseBody> {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    with_retry_after(whole(problem.status, PROBLEM, body), problem)
}

fn with_retry_after(
    mut response: Response<ResponseBody>,
    problem: &Problem,
) -> Response<ResponseBody> {
    //= PRB-9
    if let Some(ms) = problem.retry_after_ms {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
    }
    response
}

fn whole(status: u16, media: &'static str, body: Vec<u8>) -> Response<ResponseBody> {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
