//! A folder of vectors, and what it takes for one to be judged as it says.

use std::collections::BTreeMap;
use std::path::Path;

use landbridge_proto::trust::root::{RootError, TrustedRoot};
use landbridge_proto::trust::status::StatusError;
use landbridge_proto::trust::verified::VerifyError;
use landbridge_proto::wire::envelope::{Envelope, InvalidEnvelope};
use landbridge_proto::wire::name::Timestamp;
use landbridge_proto::wire::problem::Code;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A vector; what it does not say is as in the folder's `whole`.
pub(crate) struct Vector {
    own: Map<String, Value>,
    whole: Map<String, Value>,
}

/// What became of a vector.
pub(crate) struct Judged {
    verdict: &'static str,
    code: Option<Code>,
    /// Where it was noticed, as far as our error says.
    phases: &'static [&'static str],
    story: String,
}

impl Vector {
    pub(crate) fn raw(&self, member: &str) -> &Value {
        self.own.get(member).or_else(|| self.whole.get(member)).expect(member)
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, member: &str) -> T {
        serde_json::from_value(self.raw(member).clone()).expect(member)
    }

    pub(crate) fn time(&self, member: &str) -> Timestamp {
        self.get(member)
    }

    /// A text: as it is, or as a list of texts and of texts with how often each stands there.
    pub(crate) fn text(&self, member: &str) -> String {
        match self.raw(member) {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts.iter().map(part).collect(),
            other => panic!("no text: {other}"),
        }
    }

    /// Why this is not what the vector says.
    fn mismatch(&self, judged: &Judged) -> Option<String> {
        let text = |member: &str| self.own[member].as_str();
        let (verdict, code, phase) = (text("verdict"), text("code"), text("phase").unwrap());
        let found = judged.code.map(Code::as_str);
        // Where the specification names no code, any refusal will do.
        let codes = code.is_none() && judged.verdict == "refused" || code == found;
        let phases = judged.phases.is_empty() || judged.phases.contains(&phase);
        let right = verdict == Some(judged.verdict) && codes && phases;
        (!right).then(|| {
            let Judged { verdict: got, story, .. } = judged;
            format!("expected {verdict:?} {code:?} in {phase}, got {got} {found:?}: {story}")
        })
    }

    /// The same vector with another member.
    fn with(&self, member: &str, value: Value) -> Self {
        let mut own = self.own.clone();
        own.insert(member.to_owned(), value);
        Self { own, whole: self.whole.clone() }
    }
}

fn part(part: &Value) -> String {
    match part {
        Value::String(text) => text.clone(),
        other => {
            let (text, times): (String, usize) = serde_json::from_value(other.clone()).unwrap();
            text.repeat(times)
        }
    }
}

impl Judged {
    pub(crate) fn accepted() -> Self {
        Self { verdict: "accepted", code: None, phases: &["none"], story: String::new() }
    }

    pub(crate) fn refused(
        code: Code,
        phases: &'static [&'static str],
        fault: &dyn std::error::Error,
    ) -> Self {
        let mut story = fault.to_string();
        let mut source = fault.source();
        while let Some(cause) = source {
            story = format!("{story}: {cause}");
            source = cause.source();
        }
        Self { verdict: "refused", code: Some(code), phases, story }
    }

    pub(crate) fn told(verdict: &'static str, code: Option<Code>, story: String) -> Self {
        Self { verdict, code, phases: &[], story }
    }

    pub(crate) fn in_phase(self, phases: &'static [&'static str]) -> Self {
        Self { phases, ..self }
    }
}

impl From<InvalidEnvelope> for Judged {
    fn from(fault: InvalidEnvelope) -> Self {
        let code = match fault {
            InvalidEnvelope::TooLong { .. } => Code::TooLarge,
            _ => Code::Malformed,
        };
        Self::refused(code, &["envelope"], &fault)
    }
}

impl From<VerifyError> for Judged {
    fn from(fault: VerifyError) -> Self {
        let (code, phases): (_, &[_]) = match fault {
            VerifyError::SignedMalformedPayload { .. } => (Code::Malformed, &["json", "payload"]),
            VerifyError::SentTooMuch { .. } => (Code::TooLarge, &["envelope"]),
            VerifyError::SentAnotherKind { .. } => (Code::VerificationFailed, &["envelope"]),
            VerifyError::StatusStale { .. } => (Code::StatusStale, &[]),
            VerifyError::RootTooOld { .. } => (Code::RootUnknown, &[]),
            _ => (Code::VerificationFailed, &["signature"]),
        };
        Self::refused(code, phases, &fault)
    }
}

impl From<RootError> for Judged {
    fn from(fault: RootError) -> Self {
        let code = match fault {
            RootError::TooManySteps { .. } => Code::TooLarge,
            _ => Code::VerificationFailed,
        };
        Self::refused(code, &[], &fault)
    }
}

impl From<StatusError> for Judged {
    fn from(fault: StatusError) -> Self {
        let code = match fault {
            StatusError::Unverified(fault) => return Self::from(fault),
            StatusError::Equivocated { .. } => {
                return Self::told("equivocating", Some(Code::Equivocation), fault.to_string());
            }
            StatusError::Expired { .. }
            | StatusError::WentBack { .. }
            | StatusError::IncarnationWentBack { .. }
            | StatusError::RootWentBack { .. } => Code::StatusStale,
            StatusError::RootUnknown { .. } => Code::RootUnknown,
            StatusError::Foreign { .. }
            | StatusError::IssuedInFuture { .. }
            | StatusError::TooManyRevocations { .. }
            | StatusError::RootForked { .. } => Code::VerificationFailed,
        };
        Self::refused(code, &["status"], &fault)
    }
}

/// Whether something was refused, and with what.
pub(crate) fn judged<T, E: Into<Judged>>(found: Result<T, E>) -> Judged {
    found.map_or_else(Into::into, |_| Judged::accepted())
}

/// The envelopes of a list.
pub(crate) fn envelopes(list: &Value) -> Vec<Envelope> {
    serde_json::from_value(list.clone()).unwrap()
}

/// A chain of roots that is known.
pub(crate) fn chain_of(roots: &[Envelope], at: Timestamp) -> TrustedRoot {
    TrustedRoot::introduced(&roots[0]).unwrap().advance(&roots[1..], at).unwrap()
}

/// Judges each vector of a folder, of which there are at least so many.
pub(crate) fn judge_all(folder: &str, at_least: usize, judge: impl Fn(&Vector) -> Judged) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(folder);
    let files: BTreeMap<String, Map<String, Value>> = std::fs::read_dir(path)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        })
        .collect();
    assert!(files.len() >= at_least, "only {} vectors in {folder}", files.len());
    let whole = &files["whole"];
    let (mut wrong, mut refused) = (Vec::new(), 0);
    for (name, own) in &files {
        let vector = Vector { own: own.clone(), whole: whole.clone() };
        let judged = judge(&vector);
        refused += usize::from(own["phase"] != "none");
        if let Some(why) = vector.mismatch(&judged) {
            wrong.push(format!("{folder}/{name} ({}): {why}", own["clause"]));
            continue;
        }
        // The comparison bites: of another verdict or code there would be a mismatch.
        let other = if own["verdict"] == "accepted" { "refused" } else { "accepted" };
        assert!(vector.with("verdict", other.into()).mismatch(&judged).is_some(), "{name}");
        assert!(vector.with("code", "gone".into()).mismatch(&judged).is_some(), "{name}");
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), files.len(), wrong.join("\n"));
    let accepted = files.len() - refused;
    assert!(accepted > 0 && refused > accepted, "{accepted} accepted, {refused} refused");
}
