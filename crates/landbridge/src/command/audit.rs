//! `audit`: the log as it is, as a file, and against what others kept of it.
//!
//! The judging is `proto`'s; here rows are fetched page by page or read line by line, so a log of any
//! length takes little memory.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::time::Duration;

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::local::api::{AuditHeadView, AuditList, AuditView, BridgeView};
use landbridge_proto::machine::audit::{Broken, Head, Inspection};
use landbridge_proto::machine::contract::AuditRow;
use landbridge_proto::wire::name::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cli::{
    AuditCommand, AuditExportArgs, AuditHeadsArgs, AuditShowArgs, AuditVerifyArgs, Since,
};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out, fields, printable};

/// Rows of one page; the most that the bridge gives.
const PAGE_ROWS: u64 = 1000;
/// The longest line of an export: an event is far smaller.
const LINE_BYTES_MAX: usize = 1024 * 1024;

pub(super) async fn run(
    client: &Client,
    command: AuditCommand,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        AuditCommand::Show(args) => show(client, &args, out).await,
        AuditCommand::Export(args) => export(client, &args, out).await,
        AuditCommand::Verify(args) => verify(client, args, out).await,
        AuditCommand::Heads(args) => heads(client, &args, out).await,
    }
}

/// How long `--follow` waits before it looks again.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// Prints rows, oldest first. The event is printed as the bytes that the chain hashes.
async fn show(client: &Client, args: &AuditShowArgs, out: &Out) -> Result<Exit, Failure> {
    let filter = Filter::new(args);
    let mut after = args.after;
    if args.follow && after == 0 && args.since.is_none() {
        after = rows_now(client).await?;
    }
    let limit = if args.follow { u64::MAX } else { args.limit };
    let (mut shown, mut ended) = (0, false);
    while shown < limit && (!ended || args.follow) {
        if ended {
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
        let list = page(client, after, PAGE_ROWS).await?;
        ended = list.next.is_none();
        for row in &list.rows {
            if shown == limit {
                break;
            }
            after = row.n;
            if filter.takes(row) {
                shown += 1;
                let head = row.head.to_string();
                out.data(row, |row| {
                    let head = head.get(..10).unwrap_or(&head);
                    format!("{:>8}  {head}  {}", row.n, printable(&row.event))
                })?;
            }
        }
    }
    if !ended || shown == limit {
        out.say(Look::Dim, format!("more: landbridge audit show --after {after}"));
    }
    Ok(Exit::Success)
}

/// How many rows there are: where `--follow` begins.
async fn rows_now(client: &Client) -> Result<u64, Failure> {
    let view: BridgeView = client.get("/v1/admin/bridge").await?;
    let rows = view.audit.split(' ').next().and_then(|rows| rows.parse().ok());
    rows.ok_or_else(|| Failure::new(Exit::Internal, "the bridge's answer cannot be read"))
}

/// Which rows are wanted.
struct Filter<'a> {
    from: Option<Timestamp>,
    args: &'a AuditShowArgs,
}

/// What of an event is looked at.
#[derive(Deserialize)]
struct Event {
    actor: String,
    at: Timestamp,
    deed: String,
    subject: String,
}

impl<'a> Filter<'a> {
    fn new(args: &'a AuditShowArgs) -> Self {
        let from = args.since.map(|since| match since {
            Since::At(at) => at,
            Since::Ago(ms) => SystemClock.now().plus_ms(-ms),
        });
        Self { from, args }
    }

    fn takes(&self, row: &AuditView) -> bool {
        // What cannot be read is shown: somebody changed it.
        let Ok(event) = serde_json::from_str::<Event>(&row.event) else { return true };
        let deeds = &self.args.deeds;
        self.from.is_none_or(|from| event.at >= from)
            && (deeds.is_empty() || deeds.contains(&event.deed))
            && self.args.subject.as_ref().is_none_or(|wanted| {
                event.subject.contains(wanted.as_str()) || event.actor.contains(wanted.as_str())
            })
    }
}

async fn export(client: &Client, args: &AuditExportArgs, out: &Out) -> Result<Exit, Failure> {
    let mut sink: Box<dyn std::io::Write> = match &args.output {
        Some(path) => {
            let file = std::fs::File::create_new(path);
            Box::new(file.or_fail(Exit::CannotCreate, || cannot("create", path))?)
        }
        None => Box::new(std::io::stdout().lock()),
    };
    let mut after = 0;
    let mut last = Head::start();
    loop {
        let list = page(client, after, PAGE_ROWS).await?;
        for row in &list.rows {
            let line = serde_json::to_string(row)
                .or_fail(Exit::Internal, || "a row has no JSON form".to_owned())?;
            writeln!(sink, "{line}").or_fail(Exit::Failed, || "cannot write".to_owned())?;
            last = Head { n: row.n, digest: row.head };
        }
        match list.next {
            Some(next) => after = next,
            None => break,
        }
    }
    sink.flush().or_fail(Exit::Failed, || "cannot write".to_owned())?;
    out.say(Look::Dim, format!("{} rows; head {}:{}", last.n, last.n, last.digest));
    Ok(Exit::Success)
}

/// What a check found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    ok: bool,
    /// Rows up to which the log is whole.
    rows: u64,
    /// The chain's head there, where the whole log is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    /// Kept heads that agree.
    heads_confirmed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

async fn verify(client: &Client, args: AuditVerifyArgs, out: &Out) -> Result<Exit, Failure> {
    let mut heads = args.heads;
    for path in &args.against {
        // An export that was changed is no witness.
        let kept = inspect_file(path, Inspection::new(Vec::new()))?.map_err(|broken| {
            Failure::new(Exit::Unreadable, format!("{} is no witness", path.display()))
                .because(broken)
        })?;
        heads.push(kept.0);
    }
    let is_witnessed = !heads.is_empty();
    if !is_witnessed && args.file.is_none() {
        heads = own_heads(client).await?;
    }
    let against = heads.len();
    let inspection = Inspection::new(heads);
    let result = match &args.file {
        Some(path) => inspect_file(path, inspection)?,
        None => inspect_bridge(client, inspection).await?,
    };
    let found = match &result {
        Ok((head, confirmed)) => Found {
            ok: true,
            rows: head.n,
            head: Some(head.digest.to_string()),
            heads_confirmed: *confirmed,
            broken_at: None,
            why: None,
        },
        Err(broken) => Found {
            ok: false,
            rows: broken.at.saturating_sub(1),
            head: None,
            heads_confirmed: 0,
            broken_at: Some(broken.at),
            why: Some(broken.why.to_string()),
        },
    };
    out.data(&found, |found| {
        fields(&[
            ("rows", found.rows.to_string()),
            ("head", found.head.clone().unwrap_or_default()),
            ("kept heads", format!("{} of {against} confirmed", found.heads_confirmed)),
        ])
    })?;
    match result {
        Ok(_) => {
            out.say(Look::Green, "the audit log is whole");
            if !is_witnessed {
                out.say(Look::Dim, "whether its end was cut off, only a head that was kept elsewhere can tell for certain: run `landbridge audit heads` at a peer");
            }
            Ok(Exit::Success)
        }
        Err(broken) => {
            out.say(Look::Red, broken.to_string());
            Ok(Exit::Tampered)
        }
    }
}

type Inspected = Result<(Head, usize), Broken>;

async fn inspect_bridge(client: &Client, mut inspection: Inspection) -> Result<Inspected, Failure> {
    let mut after = 0;
    loop {
        let list = page(client, after, PAGE_ROWS).await?;
        let next = list.next;
        for row in list.rows {
            if let Err(broken) = inspection.row(&read_row(row)) {
                return Ok(Err(broken));
            }
        }
        match next {
            Some(next) => after = next,
            None => return Ok(inspection.finish()),
        }
    }
}

fn inspect_file(path: &Path, mut inspection: Inspection) -> Result<Inspected, Failure> {
    let mut reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let file = std::fs::File::open(path).or_fail(Exit::Usage, || cannot("read", path))?;
        Box::new(BufReader::new(file))
    };
    for number in 1.. {
        let Some(line) = line(&mut reader).or_fail(Exit::Unreadable, || cannot("read", path))?
        else {
            break;
        };
        let row: AuditView = serde_json::from_str(&line)
            .or_fail(Exit::Unreadable, || format!("line {number} is no row of an audit log"))?;
        if let Err(broken) = inspection.row(&read_row(row)) {
            return Ok(Err(broken));
        }
    }
    Ok(inspection.finish())
}

/// The next line, `None` at the end.
fn line(reader: &mut dyn BufRead) -> std::io::Result<Option<String>> {
    use std::io::Read as _;
    let mut line = String::new();
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    if reader.take(limit).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line))
}

/// What the bridge's own statuses tell of its log.
async fn own_heads(client: &Client) -> Result<Vec<Head>, Failure> {
    let heads: Vec<AuditHeadView> = client.get("/v1/admin/audit/heads?all=true").await?;
    let own = heads.into_iter().filter(|head| head.alias.is_none() && head.rows > 0);
    Ok(own.map(|head| Head { n: head.rows, digest: head.head }).collect())
}

async fn heads(client: &Client, args: &AuditHeadsArgs, out: &Out) -> Result<Exit, Failure> {
    let path = match args.all {
        true => "/v1/admin/audit/heads?all=true",
        false => "/v1/admin/audit/heads",
    };
    let heads: Vec<AuditHeadView> = client.get(path).await?;
    for head in &heads {
        out.data(head, |head| {
            let whose = head.alias.as_ref().map_or("this bridge", |alias| alias.as_str());
            format!("{whose}  {}  {}:{}", head.issued, head.rows, head.head)
        })?;
    }
    if heads.is_empty() {
        out.say(Look::Dim, "no peer has told a status yet");
    }
    Ok(Exit::Success)
}

async fn page(client: &Client, after: u64, limit: u64) -> Result<AuditList, Failure> {
    client.get(&format!("/v1/admin/audit?after={after}&limit={limit}")).await
}

fn read_row(row: AuditView) -> AuditRow {
    AuditRow { n: row.n, event: row.event, head: row.head }
}

fn cannot(what: &str, path: &Path) -> String {
    format!("cannot {what} {}", path.display())
}
