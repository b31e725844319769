//! Runs and gateways: what workflow engines ask for.

use axum::Json as Answer;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{Alias, RunId};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::Mode;

use super::api::{RouteTest, RouteView, RunView, StartRun};
use super::auth::{Cancel, May, Read, Run, Verb, permit};
use super::body::{Json, Nothing, named, query, value};
use super::problem::LocalProblem;
use super::server::Local;
use super::stream::{self, Accepts};
use crate::config::Period;

pub(super) fn routes() -> Router<Local> {
    Router::new()
        .route("/v1/runs", get(super::list::list).post(start))
        .route("/v1/runs/{run}", get(show))
        .route("/v1/runs/{run}/frames", get(frames))
        .route("/v1/runs/{run}/cancel", post(cancel))
        .route("/v1/runs/{run}/transcript", get(transcript))
        .route("/v1/gateways", get(gateways))
        .route("/v1/gateways/{gateway}", get(gateway))
        .route("/v1/gateways/{gateway}/test", post(test_gateway))
}

async fn start(
    State(local): State<Local>,
    who: May<Run>,
    accepts: Accepts,
    uri: Uri,
    headers: HeaderMap,
    Json(start): Json<StartRun>,
) -> Result<Response, LocalProblem> {
    let form = accepts.frames_if_asked()?;
    let after = stream::cursor(&uri, &headers)?;
    if form.is_some() {
        permit(who.principal(), Verb::Read)?;
    }
    check(&start, local.options.prompt_bytes_max)?;
    let view = local.bridge.start_run(who.principal(), start).await?;
    let run = view.run.clone();
    let mut response = match form {
        Some(form) => {
            let frames = local.bridge.frames(who.principal(), &run, after).await?;
            stream::response(frames, form, local.options.heartbeat)
        }
        None => (created(&view), Answer(view)).into_response(),
    };
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| Problem::new(Code::Internal));
    response.headers_mut().insert(LOCATION, text(&format!("/v1/runs/{run}"))?);
    response.headers_mut().insert(RUN_HEADER, text(run.as_str())?);
    Ok(response)
}

const fn created(view: &RunView) -> StatusCode {
    if view.attached { StatusCode::OK } else { StatusCode::CREATED }
}

/// Checks what the types of a start leave open.
fn check(start: &StartRun, prompt_bytes_max: usize) -> Result<(), LocalProblem> {
    if start.prompt.is_some() == start.tool_call.is_some() {
        return Err(LocalProblem::malformed("give exactly one of `prompt` and `toolCall`"));
    }
    if start.tool_call.is_some() && start.mode != Mode::Session {
        return Err(LocalProblem::malformed(
            "a `toolCall` belongs to no session: leave out `mode`",
        ));
    }
    if start.prompt.as_ref().is_some_and(|prompt| prompt.len() > prompt_bytes_max) {
        let detail = format!("`prompt` has at most {prompt_bytes_max} bytes here");
        return Err(Problem::new(Code::TooLarge).with_detail(detail).into());
    }
    if (start.mode == Mode::Session) == start.session.is_some() {
        let detail = "`session` is given exactly when `mode` is turn or subagent";
        return Err(LocalProblem::malformed(detail));
    }
    if let Some(deadline) = &start.deadline {
        value::<Period>("deadline", deadline)?;
    }
    if start.traceparent.as_deref().is_some_and(|trace| !is_traceparent(trace)) {
        let detail = "`traceparent` is a W3C trace context, such as \
                      00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        return Err(LocalProblem::malformed(detail));
    }
    if start.labels.len() > limit::LABELS_MAX {
        let detail = format!("`labels` has at most {} entries", limit::LABELS_MAX);
        return Err(LocalProblem::malformed(detail));
    }
    for (name, value) in &start.labels {
        check_label(name, value)?;
    }
    Ok(())
}

/// A W3C trace context: version, trace, parent and flags in lower-case hexadecimal.
fn is_traceparent(text: &str) -> bool {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let part = |(part, digits): (&str, usize)| part.len() == digits && part.bytes().all(hex);
    text.split('-').count() == 4 && text.split('-').zip([2, 32, 16, 2]).all(part)
}

pub(super) fn check_label(name: &str, value: &str) -> Result<(), LocalProblem> {
    let named = (1..=limit::LABEL_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=');
    if named && value.len() <= limit::LABEL_VALUE_BYTES_MAX {
        return Ok(());
    }
    Err(LocalProblem::malformed(format!(
        "a label's name is 1 to {} visible ASCII characters without '=', its value at most {} bytes",
        limit::LABEL_NAME_BYTES_MAX,
        limit::LABEL_VALUE_BYTES_MAX
    )))
}

/// Reads how many entries a page has.
pub(super) fn page(count: Option<&str>, max: u32) -> Result<u32, LocalProblem> {
    let Some(count) = count else { return Ok(PAGE) };
    match value::<u32>("limit", count)? {
        count if (1..=max).contains(&count) => Ok(count),
        _ => Err(LocalProblem::malformed(format!("`limit` is 1 to {max}"))),
    }
}

async fn show(
    State(local): State<Local>,
    who: May<Read>,
    run: Path<String>,
) -> Result<Answer<RunView>, LocalProblem> {
    let run: RunId = named(&run)?;
    Ok(Answer(local.bridge.run(who.principal(), &run).await?))
}

async fn frames(
    State(local): State<Local>,
    who: May<Read>,
    accepts: Accepts,
    run: Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, LocalProblem> {
    let run: RunId = named(&run)?;
    let form = accepts.frames()?;
    let after = stream::cursor(&uri, &headers)?;
    let frames = local.bridge.frames(who.principal(), &run, after).await?;
    Ok(stream::response(frames, form, local.options.heartbeat))
}

async fn cancel(
    State(local): State<Local>,
    who: May<Cancel>,
    run: Path<String>,
    _: Nothing,
) -> Result<Response, LocalProblem> {
    let run: RunId = named(&run)?;
    let view = local.bridge.cancel(who.principal(), &run).await?;
    let status = match view.state.as_str() {
        "requested" => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    Ok((status, Answer(view)).into_response())
}

async fn transcript(
    State(local): State<Local>,
    who: May<Read>,
    run: Path<String>,
) -> Result<Response, LocalProblem> {
    let run: RunId = named(&run)?;
    let lines = local.bridge.transcript(who.principal(), &run).await?;
    let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in &lines {
        text.push_str(line);
        text.push('\n');
    }
    Ok(([(CONTENT_TYPE, "application/jsonl")], text).into_response())
}

async fn gateways(
    State(local): State<Local>,
    who: May<Read>,
) -> Result<Answer<Vec<RouteView>>, LocalProblem> {
    let views = local.bridge.routes(who.principal()).into_iter();
    Ok(Answer(views.map(|view| with_prompt_limit(view, &local)).collect()))
}

/// One gateway; with `?probe=true` after a round trip, which takes the verb that a test takes.
async fn gateway(
    State(local): State<Local>,
    who: May<Read>,
    gateway: Path<String>,
    uri: Uri,
) -> Result<Answer<RouteView>, LocalProblem> {
    let gateway: Alias = named(&gateway)?;
    let [probe] = query(&uri, ["probe"])?;
    let probe = probe.map_or(Ok(false), |probe| value("probe", &probe))?;
    if probe {
        permit(who.principal(), Verb::Run)?;
        // What comes of it is in the gateway's health.
        local.bridge.test_route(who.principal(), &gateway).await?;
    }
    let view = local.bridge.gateway(who.principal(), &gateway)?;
    Ok(Answer(with_prompt_limit(view, &local)))
}

fn with_prompt_limit(mut view: RouteView, local: &Local) -> RouteView {
    view.limits.prompt_bytes_max = Some(local.options.prompt_bytes_max);
    view
}

async fn test_gateway(
    State(local): State<Local>,
    who: May<Run>,
    gateway: Path<String>,
    _: Nothing,
) -> Result<Answer<RouteTest>, LocalProblem> {
    let gateway: Alias = named(&gateway)?;
    Ok(Answer(local.bridge.test_route(who.principal(), &gateway).await?))
}

/// Tells the run of a streamed answer, whose body has no place for it.
const RUN_HEADER: HeaderName = HeaderName::from_static("landbridge-run");
/// Entries of a page unless the client says otherwise.
const PAGE: u32 = 50;
/// Entries of a page.
pub(super) const PAGE_MAX: u32 = 200;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn start(extra: &str) -> StartRun {
        let key = r#""gateway":"eu","prompt":"hello","idempotencyKey":"0123456789abcdef""#;
        serde_json::from_str(&format!("{{{key}{extra}}}")).unwrap()
    }

    #[test]
    fn a_start_is_checked_before_the_bridge_sees_it() {
        assert!(check(&start(""), 5).is_ok());
        let traced = r#","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01""#;
        assert!(check(&start(traced), 5).is_ok());
        assert_eq!(check(&start(""), 4).unwrap_err().view().status, 413);
        for bad in [
            r#","traceparent":"""#,
            r#","traceparent":"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01""#,
            r#","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-00""#,
            r#","session":"s1""#,
            r#","mode":"turn""#,
            r#","deadline":"soon""#,
            r#","labels":{"":"x"}"#,
            r#","labels":{"a=b":"x"}"#,
        ] {
            assert_eq!(check(&start(bad), 5).unwrap_err().view().status, 400, "{bad}");
        }
        let call = |extra: &str| {
            let json = format!(r#"{{"gateway":"eu","idempotencyKey":"0123456789abcdef"{extra}}}"#);
            check(&serde_json::from_str(&json).unwrap(), 5)
        };
        assert!(call(r#","toolCall":{"tool":"search","args":{"a":1}}"#).is_ok());
        assert!(call(r#","toolCall":{"tool":"search"}"#).is_ok());
        for bad in [
            "",
            r#","toolCall":{"tool":"search"},"prompt":"x""#,
            r#","toolCall":{"tool":"search"},"mode":"turn","session":"s1""#,
        ] {
            assert_eq!(call(bad).unwrap_err().view().status, 400, "{bad}");
        }
        let good = r#","mode":"turn","session":"s1","deadline":"10m","labels":{"team":"sre"}"#;
        assert!(check(&start(good), 5).is_ok());
    }
}
