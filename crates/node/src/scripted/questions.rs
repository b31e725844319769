//! Questions of the scripted gateway: who answered first, on disk like everything that it remembers.
//!
//! A question takes one answer. Its file is linked into place like a start, so of two who answer at once
//! one is first, and the other is told what stands. What was approved happens in that moment and is a line
//! of `effects.log`: a test sees there, and nowhere else, that something ran.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};

use landbridge_proto::wire::name::{RunId, SubjectKind, Timestamp};

use super::ledger::Ledger;
use crate::adapter::{ApprovalDecided, ApprovalNeeded, Binding, ResolvedBy, Vote};

/// The file with a line for each thing that was approved.
const EFFECTS: &str = "effects.log";
/// The file in which a test plays a person at the gateway: `QUESTION approve` or `QUESTION deny`.
const ANSWERS: &str = "answers";

/// A question that was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Question {
    /// Its id.
    pub id: String,
    /// The call that waits.
    pub call: String,
    /// What is to be approved.
    pub kind: SubjectKind,
    /// Its text.
    pub text: String,
    /// Whether that is all of it.
    pub binding: Binding,
    /// When nobody answers any more.
    pub expires: Timestamp,
}

/// The answer that stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Answered {
    /// What.
    pub vote: Vote,
    /// By whom.
    pub by: ResolvedBy,
    /// When.
    pub at: Timestamp,
}

impl Question {
    /// The id of a run's question number `n`.
    pub(super) fn id_of(run: &RunId, n: usize) -> String {
        format!("{run}-q{n}")
    }

    pub(super) fn needed(&self) -> ApprovalNeeded {
        ApprovalNeeded {
            question: self.id.clone(),
            call: Some(self.call.clone()),
            kind: self.kind.clone(),
            media: "text/plain".to_owned(),
            subject: self.text.clone(),
            binding: self.binding,
            expires: self.expires,
        }
    }
}

impl Answered {
    pub(super) fn decided(self, question: &str) -> ApprovalDecided {
        let by = by_word(self.by);
        let evidence = format!("{question}: {} by {by} at {}", self.vote.as_str(), self.at);
        ApprovalDecided { question: question.to_owned(), vote: self.vote, by: self.by, evidence }
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let vote = vote_of(words.next()?)?;
        let by = words.next()?;
        let by = [ResolvedBy::Peer, ResolvedBy::Gateway, ResolvedBy::Expiry, ResolvedBy::Closed]
            .into_iter()
            .find(|known| by_word(*known) == by)?;
        Some(Self { vote, by, at: Timestamp(words.next()?.parse().ok()?) })
    }
}

impl Ledger {
    /// Answers a question, unless it was answered before; gives the answer that stands.
    pub(super) fn answer(
        &self,
        question: &str,
        subject: &str,
        answer: Answered,
    ) -> io::Result<Answered> {
        let line = format!("{} {} {}", answer.vote.as_str(), by_word(answer.by), answer.at);
        if self.create_text(&self.dir().join(question), &line)? {
            if answer.vote == Vote::Approve {
                let log = self.dir().join(EFFECTS);
                let mut log = OpenOptions::new().create(true).append(true).open(log)?;
                log.write_all(format!("{question} {subject}\n").as_bytes())?;
            }
            return Ok(answer);
        }
        let stands = self.answer_of(question)?;
        stands.ok_or_else(|| io::Error::other("an answer cannot be read"))
    }

    /// The answer to a question, once there is one.
    pub(super) fn answer_of(&self, question: &str) -> io::Result<Option<Answered>> {
        match fs::read_to_string(self.dir().join(question)) {
            Ok(text) => Ok(Answered::read(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a person at the gateway says to a question.
    pub(super) fn said_here(&self, question: &str) -> Option<Vote> {
        let text = fs::read_to_string(self.dir().join(ANSWERS)).ok()?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(asked, _)| *asked == question).and_then(|(_, vote)| vote_of(vote))
    }
}

fn vote_of(word: &str) -> Option<Vote> {
    [Vote::Approve, Vote::Deny].into_iter().find(|vote| vote.as_str() == word)
}

const fn by_word(by: ResolvedBy) -> &'static str {
    match by {
        ResolvedBy::Peer => "peer",
        ResolvedBy::Operator => "operator",
        ResolvedBy::Gateway => "gateway",
        ResolvedBy::Expiry => "expiry",
        ResolvedBy::Closed => "closed",
    }
}
