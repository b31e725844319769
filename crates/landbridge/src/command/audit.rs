//! `audit`: the log as it is, as a file, and against what others kept of it.
//!
//! The judging is `proto`'s; here rows are fetched page by page or read line by line, so a log of any
//! length takes little memory.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;

use landbridge_node::local::api::{AuditHeadView, AuditList, AuditView};
use landbridge_proto::machine::audit::{Broken, Head, Inspection};
use landbridge_proto::machine::contract::AuditRow;
use serde::Serialize;

use crate::cli::{AuditCommand, AuditExportArgs, AuditShowArgs, AuditVerifyArgs};
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out, fields};

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
        AuditCommand::Heads => heads(client, out).await,
    }
}

/// Prints rows, oldest first. The event is printed as the bytes that the chain hashes.
async fn show(client: &Client, args: &AuditShowArgs, out: &Out) -> Result<Exit, Failure> {
    let list = page(client, args.after, args.limit).await?;
    for row in &list.rows {
        let head = row.head.to_string();
        out.data(row, |row| {
            format!("{:>8}  {}  {}", row.n, head.get(..10).unwrap_or(&head), row.event)
        })?;
    }
    if let Some(next) = list.next {
        out.say(Look::Dim, format!("more: landbridge audit show --after {next}"));
    }
    Ok(Exit::Success)
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
    let against = args.heads.len();
    let inspection = Inspection::new(args.heads);
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
            if against == 0 {
                out.say(Look::Dim, "whether its end was cut off, only a kept head can tell: run `landbridge audit heads` at a peer");
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

async fn heads(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let heads: Vec<AuditHeadView> = client.get("/v1/admin/audit/heads").await?;
    for head in &heads {
        out.data(head, |head| {
            format!("{}  {}  {}:{}", head.alias, head.issued, head.rows, head.head)
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
