//! `demo`: two bridges at work on this machine, and what they promise, shown by breaking things.
//!
//! Everything is real: two processes of this very program, their own homes and keys, TLS on loopback,
//! and the same commands that an operator types. Only the work is scripted, unless a gateway is named.
//! What is reported at the end is read from the stored transcripts, and if any of it did not happen the
//! exit code says so.

mod bridge;
mod proxy;
mod record;
mod script;

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use landbridge_proto::wire::name::AgentName;
use landbridge_proto::wire::stream::Frame;
use serde::Serialize;
use serde_json::Value;

use self::bridge::{Bridge, text};
use self::proxy::Proxy;
use self::record::Record;
use self::script::Script;
use crate::cli::DemoArgs;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::live::LiveView;
use crate::out::{Look, Out};

/// What happened. Printed once, as the last thing.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    ok: bool,
    runs: usize,
    frames: usize,
    resumed: bool,
    killed: bool,
    cancelled: bool,
    replayed: bool,
    verified: bool,
    tamper_detected: bool,
}

impl Facts {
    const fn all_happened(&self) -> bool {
        self.resumed
            && self.killed
            && self.cancelled
            && self.replayed
            && self.verified
            && self.tamper_detected
    }
}

/// Runs the demonstration.
pub(crate) async fn demo(args: DemoArgs, out: &Out) -> Result<Exit, Failure> {
    let place = fresh_directory()?;
    let mut facts = Facts::default();
    let shown = tokio::select! {
        shown = show(&args, &place, &mut facts, out) => shown,
        _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "stopped")),
    };
    facts.ok = shown.is_ok() && facts.all_happened();
    if out.json() {
        out.data(&facts, |_| String::new())?;
    }
    match shown {
        Ok(()) if facts.ok => {
            if !args.keep {
                // What is left behind is only ever in the temporary directory.
                let _ = std::fs::remove_dir_all(&place);
            }
            Ok(Exit::Success)
        }
        Ok(()) => Err(Failure::new(Exit::Failed, "not everything happened as it must")
            .why(format!("{facts:?}"))
            .next(format!("a look at the logs in {}", place.display()))),
        Err(failure) if failure.next_step().is_some() => Err(failure),
        Err(failure) => Err(failure.next(format!("a look at the logs in {}", place.display()))),
    }
}

async fn show(args: &DemoArgs, place: &Path, facts: &mut Facts, out: &Out) -> Result<(), Failure> {
    let mut stage = Stage::set(args, place, out).await?;
    stage.pair().await?;
    let first = stage.cut_and_resume(facts).await?;
    let second = stage.kill_and_restart(facts).await?;
    let third = stage.cancel(facts).await?;
    stage.replay(&first, facts).await?;
    let runs = [first, second, third];
    stage.count_starts(&runs, facts)?;
    stage.verify(&runs, facts).await?;
    if !out.json() {
        out.line(&format!(
            "\n{} runs, {} frames in the stored transcripts, each sealed by {}.",
            facts.runs,
            facts.frames,
            stage.b.gateway()
        ))?;
    }
    if args.keep { stage.leave().await } else { stage.clear().await }
}

/// The two bridges and the wire between them.
struct Stage<'a> {
    out: &'a Out,
    script: Script,
    agent: String,
    place: PathBuf,
    a: Bridge,
    b: Bridge,
    wire: Proxy,
}

/// A run of the demonstration, after its end.
struct Run {
    id: String,
    key: String,
    prompt: &'static str,
}

impl<'a> Stage<'a> {
    async fn set(args: &DemoArgs, place: &Path, out: &'a Out) -> Result<Self, Failure> {
        let (a_address, b_address) = (bridge::free_address()?, bridge::free_address()?);
        let wire = Proxy::to(b_address).await?;
        tell(out, Look::Bold, "1. Two gateways that know nothing of each other");
        let a = Bridge::init("A", place.join("a"), a_address, a_address, "scripted", None).await?;
        let url = args.openclaw.as_deref();
        let (adapter, default_agent) =
            if url.is_some() { ("openclaw", "main") } else { ("scripted", "demo") };
        let b = Bridge::init("B", place.join("b"), b_address, wire.address(), adapter, url).await?;
        let mut stage = Self {
            out,
            script: if url.is_some() { script::OPENCLAW } else { script::SCRIPTED },
            agent: args.agent.as_ref().map_or(default_agent, AgentName::as_str).to_owned(),
            place: place.to_owned(),
            a,
            b,
            wire,
        };
        stage.tell(&format!("A is {}", stage.a.gateway()));
        stage.tell(&format!("B is {}, behind a wire that can be cut", stage.b.gateway()));
        if let Some(url) = url {
            stage.b.connect_gateway(url, args.token.token_file.as_deref()).await?;
            stage.tell(&format!("B runs its work on the OpenClaw gateway at {url}"));
        }
        stage.a.add_route("eu")?;
        stage.a.serve(None).await?;
        stage.b.serve(None).await?;
        if url.is_some() {
            stage.b.find_agent(&stage.agent).await?;
        }
        Ok(stage)
    }

    async fn pair(&self) -> Result<(), Failure> {
        self.head("2. They are introduced: an invite, twelve words, a yes on each side, one grant");
        let invite = text(&self.b.json(&["peer", "invite", "us"]).await?, "invite")?;
        self.tell("B: landbridge peer invite us");
        let joined = self.a.json(&["peer", "join", &invite, "--alias", "eu"]).await?;
        self.tell("A: landbridge peer join gfp1:… --alias eu");
        let words_a = text(&joined, "words")?;
        let words_b = text(&self.b.json(&["peer", "show", "us"]).await?, "words")?;
        self.tell(&format!("both see: {words_b}"));
        // Each side is given the words of the other, as two people on the telephone would.
        self.a.json(&["peer", "accept", "eu", "--words", &words_b]).await?;
        self.b.json(&["peer", "accept", "us", "--words", &words_a]).await?;
        let grant = [
            "grant",
            "add",
            "us",
            "--agent",
            &self.agent,
            "--disclose-tool-args",
            "full",
            "--disclose-tool-results",
            "full",
        ];
        self.b.json(&grant).await?;
        self.tell(&format!("B: landbridge grant add us --agent {}", self.agent));
        let test = self.a.json(&["route", "test", "eu"]).await?;
        if let Some(ms) = test["roundTripMs"].as_u64() {
            self.tell(&format!("A: landbridge route test eu: signed round trip in {ms} ms"));
        }
        Ok(())
    }

    async fn cut_and_resume(&self, facts: &mut Facts) -> Result<Run, Failure> {
        self.head("3. A starts a run at B; the wire is cut in the middle");
        let run = self.start(self.script.answer).await?;
        let before = self.wire.accepted();
        let mut closed = 0;
        let mut after_cut = 0_u64;
        let mut view = LiveView::new(self.out);
        let mut following = self.a.follow(&["run", "tail", &run.id])?;
        let mut trigger = self.script.trigger();
        while let Some(line) = following.next().await? {
            self.watch(&mut view, &line)?;
            after_cut += u64::from(closed > 0);
            if trigger.pulled_by(&line) {
                self.aside(&mut view, "✂ every connection between A and B is cut");
                closed = self.wire.cut(CUT_FOR).await;
            }
        }
        let again = self.wire.accepted() > before;
        let exit = following.exit().await?;
        facts.resumed = closed > 0 && again && after_cut > 0 && exit == 0;
        if facts.resumed {
            self.tell(&format!(
                "A came back by itself: {after_cut} frames after the cut, none twice, none missing"
            ));
        }
        Ok(run)
    }

    async fn kill_and_restart(&mut self, facts: &mut Facts) -> Result<Run, Failure> {
        self.head(
            "4. Another run; B's process is killed in the middle (SIGKILL) and started again",
        );
        let run = self.start(self.script.long).await?;
        let mut view = LiveView::new(self.out);
        let mut following = self.a.follow(&["run", "tail", &run.id])?;
        let mut trigger = self.script.trigger();
        let mut killed = false;
        let mut ended = false;
        while let Some(line) = following.next().await? {
            self.watch(&mut view, &line)?;
            ended = killed && line.contains(r#""event":"terminal""#);
            if trigger.pulled_by(&line) {
                self.aside(&mut view, "☠ B is killed");
                self.b.kill().await?;
                killed = true;
                self.b.serve(None).await?;
                self.aside(&mut view, "· B is started again");
            }
        }
        following.exit().await?;
        facts.killed = killed && ended;
        if facts.killed {
            self.tell("one terminal, sealed by the B that came back");
        }
        Ok(run)
    }

    async fn cancel(&self, facts: &mut Facts) -> Result<Run, Failure> {
        self.head("5. A run that would never end is cancelled, and B confirms it");
        let run = self.start(self.script.endless).await?;
        let mut view = LiveView::new(self.out);
        let mut following = self.a.follow(&["run", "tail", &run.id])?;
        let mut asked = false;
        while let Some(line) = following.next().await? {
            self.watch(&mut view, &line)?;
            if !asked {
                asked = true;
                let answer = self.a.json(&["run", "cancel", &run.id]).await?;
                let state = answer["state"].as_str().unwrap_or("?");
                self.aside(&mut view, &format!("· A: landbridge run cancel: {state}"));
            }
        }
        facts.cancelled = asked && following.exit().await? == i32::from(Exit::RunCancelled.code());
        Ok(run)
    }

    async fn replay(&self, first: &Run, facts: &mut Facts) -> Result<(), Failure> {
        self.head("6. The first request again, with the same key");
        let again = self.request(first.prompt, &first.key).await?;
        let same = text(&again, "run")? == first.id && again["attached"] == true;
        let mut following = self.a.follow(&["run", "tail", &first.id])?;
        let mut frames = Vec::new();
        while let Some(line) = following.next().await? {
            frames.push(line);
        }
        let stored = Record::read(&self.export(&first.id).await?.1)?;
        facts.replayed = same && !frames.is_empty() && frames == stored.frames;
        if facts.replayed {
            self.tell(&format!("the same run, the same {} frames", frames.len()));
        }
        Ok(())
    }

    /// Reads from the log of B's gateway how often it started something: once for each run, although B
    /// was killed and one run was asked for twice. A real gateway has no such log to read.
    fn count_starts(&self, runs: &[Run], facts: &mut Facts) -> Result<(), Failure> {
        if !self.script.is_scripted() {
            return Ok(());
        }
        let log = self.b.home().join("gateway").join("executions.log");
        let log = std::fs::read_to_string(&log)
            .or_fail(Exit::Failed, || format!("cannot read {}", log.display()))?;
        let started: Vec<&str> = log.lines().filter_map(|line| line.split(' ').next()).collect();
        let once = started.iter().collect::<BTreeSet<_>>().len() == started.len();
        if !once || started.len() != runs.len() {
            (facts.killed, facts.replayed) = (false, false);
        }
        self.tell(&format!(
            "B's gateway was asked for {} runs, {} times",
            runs.len(),
            started.len()
        ));
        Ok(())
    }

    async fn verify(&self, runs: &[Run], facts: &mut Facts) -> Result<(), Failure> {
        self.head("7. The transcripts are exported, and verified without either bridge");
        let mut verified = 0;
        let mut tampered = None;
        for (at, run) in runs.iter().enumerate() {
            let (file, transcript) = self.export(&run.id).await?;
            let record = Record::read(&transcript)?;
            let exit = self.verify_file(&file).await?;
            let outcome = record.outcome.as_deref().unwrap_or("no end");
            self.tell(&format!(
                "run {}: {outcome}, {} frames under {} seals, landbridge verify exits with {exit}",
                at + 1,
                record.frames.len(),
                record.seals
            ));
            facts.runs += 1;
            facts.frames += record.frames.len();
            verified += usize::from(exit == 0 && record.whole);
            facts.resumed &= at != 0 || self.script.shows(&record);
            facts.killed &= at != 1 || self.script.survives(outcome);
            facts.cancelled &= at != 2 || outcome == "cancelled";
            tampered = tampered.or_else(|| record::tampered(&transcript));
        }
        facts.verified = verified == runs.len();
        let Some((bad, what)) = tampered else { return Ok(()) };
        let file = self.place.join("tampered.jsonl");
        std::fs::write(&file, bad).or_fail(Exit::Failed, || "cannot write the tampered copy")?;
        let exit = self.verify_file(&file).await?;
        facts.tamper_detected = exit == i32::from(Exit::Tampered.code());
        self.tell(&format!("a copy in which {what}: landbridge verify exits with {exit}"));
        Ok(())
    }

    /// Ends both bridges.
    async fn clear(mut self) -> Result<(), Failure> {
        self.a.stop().await?;
        self.b.stop().await?;
        self.wire.close().await;
        Ok(())
    }

    /// Takes the wire away, and leaves both bridges running.
    async fn leave(mut self) -> Result<(), Failure> {
        self.b.stop().await?;
        let told = self.wire.address();
        self.wire.close().await;
        self.b.serve(Some(told)).await?;
        let (a, b) = (self.a.home().display().to_string(), self.b.home().display().to_string());
        let pids: Vec<String> = [&self.a, &self.b]
            .iter()
            .filter_map(|one| one.pid())
            .map(|pid| pid.to_string())
            .collect();
        self.a.release();
        self.b.release();
        self.out.say(Look::Bold, "Both bridges go on. What to try next:");
        for line in [
            format!(
                "landbridge --home {a} run start eu --agent {} --prompt 'say hello'",
                self.agent
            ),
            format!("landbridge --home {a} run list"),
            format!("landbridge --home {b} audit show"),
            format!("landbridge --home {b} grant remove us"),
            format!("landbridge --home {a} doctor"),
            format!("kill {}; rm -r {}", pids.join(" "), self.place.display()),
        ] {
            self.out.say(Look::Plain, format!("  {line}"));
        }
        Ok(())
    }

    async fn start(&self, prompt: &'static str) -> Result<Run, Failure> {
        let mut bytes = [0_u8; 12];
        getrandom::fill(&mut bytes).map_err(|error| {
            Failure::new(Exit::Internal, "the system has no entropy").why(error)
        })?;
        let key = format!("demo-{}", data_encoding::HEXLOWER.encode(&bytes));
        let id = text(&self.request(prompt, &key).await?, "run")?;
        self.tell(&format!("A: landbridge run start eu --agent {} --key {key}", self.agent));
        Ok(Run { id, key, prompt })
    }

    async fn request(&self, prompt: &str, key: &str) -> Result<Value, Failure> {
        let arguments = [
            "run",
            "start",
            "eu",
            "--agent",
            &self.agent,
            "--prompt",
            prompt,
            "--key",
            key,
            "--detach",
        ];
        self.a.json(&arguments).await
    }

    async fn export(&self, run: &str) -> Result<(PathBuf, String), Failure> {
        let file = self.place.join(format!("{run}.jsonl"));
        self.a.json(&["run", "export", run, "--output", &file.to_string_lossy()]).await?;
        let text = std::fs::read_to_string(&file);
        Ok((file, text.or_fail(Exit::Failed, || "cannot read the exported transcript")?))
    }

    async fn verify_file(&self, file: &Path) -> Result<i32, Failure> {
        let path = file.to_string_lossy();
        let output = self.a.output(&["verify", &path, "--pin", self.b.gateway()]).await?;
        Ok(output.status.code().unwrap_or(-1))
    }

    fn watch(&self, view: &mut LiveView<'_>, line: &str) -> Result<(), Failure> {
        if self.out.json() {
            return Ok(());
        }
        match Frame::parse(line) {
            Ok(frame) => view.frame(&frame),
            Err(error) => Err(Failure::new(Exit::Failed, "a line is no frame").because(error)),
        }
    }

    fn aside(&self, view: &mut LiveView<'_>, text: &str) {
        if !self.out.json() {
            view.say(Look::Yellow, text);
        }
    }

    fn head(&self, text: &str) {
        tell(self.out, Look::Bold, &format!("\n{text}"));
    }

    fn tell(&self, text: &str) {
        tell(self.out, Look::Dim, &format!("   {text}"));
    }
}

fn tell(out: &Out, look: Look, text: &str) {
    if !out.json() {
        out.say(look, text);
    }
}

/// A new directory that only this user may open.
fn fresh_directory() -> Result<PathBuf, Failure> {
    let mut bytes = [0_u8; 5];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Internal, "the system has no entropy").why(error))?;
    let name = format!("landbridge-demo-{}", data_encoding::HEXLOWER.encode(&bytes));
    let place = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&place)
        .or_fail(Exit::CannotCreate, || format!("cannot make {}", place.display()))?;
    Ok(place)
}

/// Long enough to be noticed, short enough to stay in the story.
const CUT_FOR: Duration = Duration::from_millis(300);
