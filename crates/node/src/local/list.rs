//! Lists of runs: what is asked for, and where a page ends.
//!
//! A cursor is a place in the list and not a run or a number of entries, so it stays good when new runs
//! arrive in front of it and when the run at it is deleted. It also carries a digest of the filters: a
//! cursor under other filters would skip runs without anybody noticing, so it is refused.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LINK;
use http::{HeaderValue, Uri};
use landbridge_proto::machine::contract::{EntryFilter, EntryPlace};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{RunId, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::stream::Outcome;

use super::api::RunList;
use super::auth::{May, Read};
use super::body::{pairs, value};
use super::problem::LocalProblem;
use super::runs::{PAGE_MAX, check_label, page};
use super::server::Local;

/// `GET /v1/runs`.
pub(super) async fn list(
    State(local): State<Local>,
    who: May<Read>,
    uri: Uri,
) -> Result<Response, LocalProblem> {
    let asked = Asked::read(&uri)?;
    let (runs, next) = local.bridge.runs(who.principal(), asked.filter).await?;
    let next = next.map(|place| Cursor { place, filters: asked.filters }.to_text());
    let link = next.as_deref().map(|next| link(&uri, next)).transpose()?;
    let mut response = Answer(RunList { runs, next }).into_response();
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// The address of the next page, with the filters of this one.
fn link(uri: &Uri, next: &str) -> Result<HeaderValue, LocalProblem> {
    let same = uri.query().unwrap_or_default().split('&');
    let same = same.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let query: Vec<String> = same.map(str::to_owned).chain([format!("cursor={next}")]).collect();
    let text = format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"));
    HeaderValue::from_str(&text).map_err(|_| Problem::new(Code::Internal).into())
}

/// What a query asks for.
#[derive(Debug)]
struct Asked {
    filter: EntryFilter,
    filters: [u8; FILTERS_BYTES],
}

impl Asked {
    fn read(uri: &Uri) -> Result<Self, LocalProblem> {
        let ([gateway, state, outcome, since, until, count, cursor], labels) = pairs(
            uri,
            ["gateway", "state", "outcome", "since", "until", "limit", "cursor"],
            Some("label"),
        )?;
        let mut filter = EntryFilter {
            settled: state.as_deref().map(settled).transpose()?,
            outcome: outcome.as_deref().map(outcome_of).transpose()?,
            since: since.as_deref().map(|text| instant("since", text)).transpose()?,
            until: until.as_deref().map(|text| instant("until", text)).transpose()?,
            limit: page(count.as_deref(), PAGE_MAX)?,
            ..EntryFilter::default()
        };
        filter.gateways.extend(gateway.map(|name| value("gateway", &name)).transpose()?);
        if filter.outcome.is_some() && filter.settled == Some(false) {
            return Err(LocalProblem::malformed("an open run has no `outcome`"));
        }
        for label in &labels {
            let (name, value) = label
                .split_once('=')
                .ok_or_else(|| LocalProblem::malformed("`label` is name=value"))?;
            check_label(name, value)?;
            let old = filter.labels.insert(name.to_owned(), value.to_owned());
            if old.is_some_and(|old| old != value) {
                let detail = format!("no run has two values of the label {name:?}");
                return Err(LocalProblem::malformed(detail));
            }
        }
        if filter.labels.len() > limit::LABELS_MAX {
            let detail = format!("`label` is given at most {} times", limit::LABELS_MAX);
            return Err(LocalProblem::malformed(detail));
        }
        let filters = digest_of(&filter);
        if let Some(text) = cursor {
            let cursor = Cursor::read(&text).ok_or_else(|| {
                LocalProblem::malformed("`cursor` is not one: pass `next` of a page as it is")
            })?;
            if cursor.filters != filters {
                let detail = "`cursor` belongs to a list with other filters: repeat them all";
                return Err(LocalProblem::malformed(detail));
            }
            filter.before = Some(cursor.place);
        }
        Ok(Self { filter, filters })
    }
}

fn settled(state: &str) -> Result<bool, LocalProblem> {
    match state {
        "open" => Ok(false),
        "settled" => Ok(true),
        other => Err(LocalProblem::malformed(format!("`state` is open or settled, not {other:?}"))),
    }
}

fn outcome_of(text: &str) -> Result<String, LocalProblem> {
    let known = Outcome::ALL.map(Outcome::as_str);
    if known.contains(&text) {
        return Ok(text.to_owned());
    }
    let known = known.join(", ");
    Err(LocalProblem::malformed(format!("`outcome` is one of {known}, not {text:?}")))
}

fn instant(name: &str, text: &str) -> Result<Timestamp, LocalProblem> {
    text.parse::<jiff::Timestamp>().map(|at| Timestamp(at.as_millisecond())).map_err(|_| {
        LocalProblem::malformed(format!("`{name}` is a time such as 2030-01-31T12:00:00Z"))
    })
}

/// What makes two lists the same, whatever their page.
fn digest_of(filter: &EntryFilter) -> [u8; FILTERS_BYTES] {
    let same = EntryFilter { before: None, limit: 0, ..filter.clone() };
    let digest = Digest::of(b"landbridge-list-v1\n", &[format!("{same:?}").as_bytes()]);
    let mut short = [0; FILTERS_BYTES];
    short.copy_from_slice(&digest.as_bytes()[..FILTERS_BYTES]);
    short
}

/// A place in a list with certain filters.
#[derive(Debug, Eq, PartialEq)]
struct Cursor {
    place: EntryPlace,
    filters: [u8; FILTERS_BYTES],
}

impl Cursor {
    fn to_text(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.filters);
        bytes.extend(self.place.created.0.to_be_bytes());
        bytes.extend(self.place.run.as_str().as_bytes());
        data_encoding::BASE64URL_NOPAD.encode(&bytes)
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let rest = bytes.strip_prefix(&[VERSION])?;
        let (filters, rest) = rest.split_first_chunk::<FILTERS_BYTES>()?;
        let (created, run) = rest.split_first_chunk::<8>()?;
        let run = RunId::new(std::str::from_utf8(run).ok()?).ok()?;
        let created = Timestamp(i64::from_be_bytes(*created));
        Some(Self { place: EntryPlace { created, run }, filters: *filters })
    }
}

/// The form of cursors.
const VERSION: u8 = 1;
/// Of the digest of the filters.
const FILTERS_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(query: &str) -> Result<Asked, LocalProblem> {
        Asked::read(&format!("/v1/runs?{query}").parse().unwrap())
    }

    #[test]
    fn a_list_is_filtered_by_what_the_query_says() {
        let filter = read(
            "gateway=eu&label=team=a=b&label=step=2&state=settled&outcome=lost&limit=200\
             &since=2030-01-31T12:00:00Z&until=2030-01-31T13:00:00%2B01:00",
        );
        let filter = filter.unwrap().filter;
        assert_eq!(filter.gateways[0].as_str(), "eu");
        let labels = [("step", "2"), ("team", "a=b")];
        assert_eq!(filter.labels, labels.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
        assert_eq!((filter.settled, filter.limit), (Some(true), 200));
        assert_eq!(filter.outcome.as_deref(), Some("lost"));
        assert_eq!(filter.since, filter.until);
        assert_eq!(read("").unwrap().filter.limit, 50);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "limit=0",
            "limit=201",
            "limit=x",
            "state=done",
            "state=open&outcome=lost",
            "outcome=won",
            "label=team",
            "label=a=1&label=a=2",
            "since=yesterday",
            "cursor=x",
            "cursor=AQ",
            "before=x",
            "gateway=EU",
            "gateway=eu&gateway=us",
        ] {
            assert_eq!(read(bad).unwrap_err().view().status, 400, "{bad}");
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_own_filters_and_any_page_size() {
        let run = RunId::new(format!("run-{}", "a".repeat(26))).unwrap();
        let place = EntryPlace { created: Timestamp(1_800_000_000_000), run };
        let filters = read("gateway=eu&limit=5").unwrap().filters;
        let text = Cursor { place: place.clone(), filters }.to_text();
        let again = read(&format!("limit=7&cursor={text}&gateway=eu")).unwrap();
        assert_eq!(again.filter.before, Some(place));
        let other = read(&format!("gateway=us&cursor={text}")).unwrap_err();
        assert!(other.view().detail.clone().unwrap().contains("other filters"));
    }

    #[test]
    fn the_link_repeats_the_filters_and_not_the_cursor() {
        let uri: Uri = "/v1/runs?cursor=old&gateway=eu&label=a%3Db".parse().unwrap();
        let link = link(&uri, "new").unwrap();
        assert_eq!(link, "</v1/runs?gateway=eu&label=a%3Db&cursor=new>; rel=\"next\"");
    }
}
