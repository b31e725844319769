//! A stream, read as a caller must: no frame counts before its seal verified over the kit's own chain.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::caller::Caller;
use crate::http::Reply;
use crate::wire::{self, Envelope};

/// The accept of a run, and its chain from the first frame on.
pub(crate) struct Known {
    accept_text: String,
    heads: Vec<[u8; 32]>,
    /// The last of its frames is the terminal.
    ended: bool,
}

/// A stream that begins at some frame of a run.
pub(crate) struct Stream<'a> {
    caller: &'a Caller,
    /// The digest of what it answers.
    request: String,
    reply: Reply,
    /// The accept's bytes.
    pub(crate) accept_text: String,
    pub(crate) accept: Envelope,
    /// What the accept says.
    pub(crate) terms: Value,
    /// Verified frames, as bytes; the first has the number `after + 1`.
    pub(crate) frames: Vec<String>,
    after: u64,
    head: [u8; 32],
    heads: Vec<[u8; 32]>,
    /// How many `alive` events came, and seals that were verified.
    pub(crate) alive: usize,
    pub(crate) seals: usize,
    /// The last seal, and who signed it.
    pub(crate) sealed: Option<Envelope>,
    /// The last status that came.
    pub(crate) status: Option<Value>,
    /// The problem with which the executor ended the connection.
    pub(crate) problem: Option<Value>,
    /// Whether a status came before the first seal.
    pub(crate) status_first: bool,
    ended: bool,
}

impl<'a> Stream<'a> {
    /// Reads the accept (STR-2, REQ-29).
    pub(crate) fn new(caller: &'a Caller, mut reply: Reply, request: &Envelope) -> Result<Self> {
        let media = reply.header("content-type").unwrap_or_default();
        ensure!(media == "text/event-stream", "a stream is of the type {media}");
        let (name, _, mut data) = event(&mut reply)?.context("the stream has no event")?;
        ensure!(name == "accept" && data.len() == 1, "the first event is an accept");
        let accept_text = data.remove(0);
        let accept = Envelope::read(accept_text.as_bytes())?;
        let terms = caller.statement("accept", &accept)?;
        let head = wire::hash(&[b"GFP-STREAM-v1\n", &accept.digest()]);
        Ok(Self {
            caller,
            request: request.name(),
            reply,
            accept_text,
            accept,
            terms,
            frames: Vec::new(),
            after: 0,
            head,
            heads: vec![head],
            alive: 0,
            seals: 0,
            sealed: None,
            status: None,
            problem: None,
            status_first: false,
            ended: false,
        })
    }

    /// Goes on from a chain that is known: frames 1 to `after` of another stream of the run.
    pub(crate) fn behind(mut self, known: &Known, after: usize) -> Result<Self> {
        ensure!(self.accept_text == known.accept_text, "another accept for the same run");
        self.head = *known.heads.get(after).context("a frame that is known")?;
        self.heads.truncate(0);
        self.after = after as u64;
        self.ended = known.ended && after + 1 == known.heads.len();
        Ok(self)
    }

    /// The accept and the chain so far.
    pub(crate) fn known(&self) -> Known {
        let (accept_text, heads) = (self.accept_text.clone(), self.heads.clone());
        Known { accept_text, heads, ended: self.ended }
    }

    /// Where this stream is: what another one of the same run goes on from.
    pub(crate) fn chained(&self) -> Chained {
        (self.accept_text.clone(), self.seq(), self.head)
    }

    /// Goes on from where another stream of the run was left.
    pub(crate) fn onward(mut self, (accept, after, head): Chained) -> Result<Self> {
        ensure!(self.accept_text == accept, "another accept for the same run");
        (self.after, self.head) = (after, head);
        Ok(self)
    }

    /// The head after all frames, as text.
    pub(crate) fn head(&self) -> String {
        wire::text_of(self.head)
    }

    /// The run's id.
    pub(crate) fn run(&self) -> Result<&str> {
        self.terms["run"].as_str().context("an accept names its run")
    }

    /// The last `seq`.
    pub(crate) fn seq(&self) -> u64 {
        self.after + self.frames.len() as u64
    }

    /// A verified frame.
    pub(crate) fn frame(&self, at: usize) -> Result<Value> {
        Ok(serde_json::from_str(self.frames.get(at).context("there is no such frame")?)?)
    }

    /// The terminal's payload.
    pub(crate) fn terminal(&self) -> Result<Value> {
        ensure!(self.ended, "the run has no terminal");
        let last = self.frames.len().checked_sub(1).context("the terminal was told before")?;
        Ok(self.frame(last)?["payload"].clone())
    }

    /// Reads until the stream is closed, and asks for a terminal (STR-26).
    pub(crate) fn finish(&mut self) -> Result<()> {
        let since = wire::now();
        while self.next()? {
            ensure!(wire::now() < since + ENDS_WITHIN_MS, "the run does not end");
        }
        let problem = &self.problem;
        ensure!(self.ended, "the stream closed without a terminal, with {problem:?}");
        Ok(())
    }

    /// Reads until the executor ends the connection with a problem, and tells its code.
    pub(crate) fn cut_off(&mut self) -> Result<String> {
        let since = wire::now();
        while self.next()? {
            ensure!(wire::now() < since + ENDS_WITHIN_MS, "the stream is not ended");
        }
        let problem = self.problem.as_ref().context("the stream closed without a problem")?;
        Ok(problem["code"].as_str().unwrap_or_default().to_owned())
    }

    /// Reads until there are so many frames.
    pub(crate) fn until(&mut self, frames: usize) -> Result<()> {
        while self.frames.len() < frames {
            ensure!(self.next()?, "the stream closed too early");
        }
        Ok(())
    }

    /// Reads and verifies the next event; `false` at the end.
    pub(crate) fn next(&mut self) -> Result<bool> {
        let Some((name, id, data)) = event(&mut self.reply)? else { return Ok(false) };
        match name.as_str() {
            "status" => {
                ensure!(data.len() == 1 && id.is_none(), "a status is one line of data");
                let status = Envelope::read(data[0].as_bytes())?;
                let claimed = wire::document(&status.payload)?;
                let roots = self.caller.roots_with(&claimed["root_version"])?;
                let newest = roots.last().context("there are roots")?;
                status.verified("status", newest, "status", wire::now())?;
                ensure!(claimed["iss"] == self.caller.gid, "a status of another gateway");
                self.status = Some(claimed);
                self.status_first |= self.seals == 0;
            }
            "frames" => {
                let id = id.context("a batch has an id")?;
                let (seal, frames) = data.split_last().context("a batch has lines")?;
                ensure!((1..=64).contains(&frames.len()), "{} frames in a batch", frames.len());
                for frame in frames {
                    self.append(frame)?;
                }
                ensure!(id == self.seq().to_string(), "a batch's id is its last seq");
                self.seal(seal)?;
            }
            "alive" => {
                ensure!(data.len() == 1 && id.is_none(), "an alive is one line of data");
                self.seal(&data[0])?;
                self.alive += 1;
            }
            "problem" => {
                ensure!(data.len() == 1 && id.is_none(), "a problem is one line of data");
                let told = Envelope::read(data[0].as_bytes())?;
                let told = self.caller.statement("problem", &told)?;
                ensure!(told["request"] == self.request, "a problem of another request");
                ensure!(event(&mut self.reply)?.is_none(), "an event after the problem");
                self.problem = Some(told["problem"].clone());
                return Ok(false);
            }
            other => bail!("an event of the name {other:?}"),
        }
        Ok(true)
    }

    fn append(&mut self, frame: &str) -> Result<()> {
        ensure!(!self.ended, "a frame after the terminal");
        ensure!(frame.len() <= 262_144, "a frame of {} bytes", frame.len());
        let value: Value = serde_json::from_str(frame).context("a frame is JSON")?;
        let seq = self.seq() + 1;
        let payload = wire::document(&wire::bytes_of(&value["payload"]))?;
        let due = format!(r#"{{"seq":{seq},"event":{},"payload":{payload}}}"#, value["event"]);
        ensure!(due == frame, "frame {seq} is not in its one spelling: {frame}");
        let leaf = wire::hash(&[b"GFP-LEAF-v1\n", frame.as_bytes()]);
        self.head = wire::hash(&[b"GFP-CHAIN-v1\n", &self.head, &seq.to_be_bytes(), &leaf]);
        self.heads.push(self.head);
        self.ended = value["event"] == "terminal";
        self.frames.push(frame.to_owned());
        Ok(())
    }

    fn seal(&mut self, text: &str) -> Result<()> {
        let envelope = Envelope::read(text.as_bytes())?;
        let seal = self.caller.statement("seal", &envelope)?;
        ensure!(seal["accept"] == self.accept.name(), "a seal under another accept");
        ensure!(seal["run"] == self.terms["run"], "a seal of another run");
        ensure!(seal["seq"] == self.seq(), "a seal over {} at {}", seal["seq"], self.seq());
        ensure!(seal["head"] == self.head(), "a seal over another chain");
        ensure!(seal["final"] == self.ended, "`final` does not fit the frame");
        self.seals += 1;
        self.sealed = Some(envelope);
        Ok(())
    }
}

/// An accept, a number, and the head there.
pub(crate) type Chained = (String, u64, [u8; 32]);

/// An event: its name, id and data.
type Event = (String, Option<String>, Vec<String>);

/// The next event, in its exact bytes (STR-1).
fn event(reply: &mut Reply) -> Result<Option<Event>> {
    let Some(mut line) = text(reply)? else { return Ok(None) };
    let id = match line.strip_prefix("id: ").map(str::to_owned) {
        Some(id) => {
            line = text(reply)?.context("an event ends after its id")?;
            Some(id)
        }
        None => None,
    };
    let name = line.strip_prefix("event: ").with_context(|| format!("no event: {line:?}"))?;
    let (name, mut data) = (name.to_owned(), Vec::new());
    loop {
        let line = text(reply)?.context("the stream ends inside an event")?;
        if line.is_empty() {
            return Ok(Some((name, id, data)));
        }
        let value = line.strip_prefix("data: ").with_context(|| format!("no data: {line:?}"))?;
        data.push(value.to_owned());
    }
}

fn text(reply: &mut Reply) -> Result<Option<String>> {
    Ok(reply.line()?.map(String::from_utf8).transpose()?)
}

/// How long a run is read that was stopped, or whose prompt is answered soon.
const ENDS_WITHIN_MS: i64 = 60_000;
