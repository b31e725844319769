//! What is fuzzed: every reader of bytes that a peer or a stranger can send, each with a property.
//!
//! "It does not panic" is the least of it. A reader of canonical bytes must give back, written again, the bytes that it
//! was given; what verifies must be what an honest gateway signed, because no fuzzer has its keys. The fuzzer itself
//! (`fuzz/`, outside the workspace) needs a C++ compiler; the tests here run every target over the seeds and over
//! bent copies of them without one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a target that finds a fault panics"
)]

#[path = "../../../crates/proto/tests/machine/gateway.rs"]
#[allow(dead_code, reason = "shared with the tests of the protocol")]
mod gateway;
#[path = "../../../crates/proto/tests/machine/run.rs"]
#[allow(dead_code, reason = "shared with the tests of the protocol")]
mod run;

mod approvals;
mod documents;
mod honest;
pub mod seeds;
mod streams;
mod texts;

/// One reader and its property.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, as the command line has it.
    pub name: &'static str,
    /// What must hold, in words.
    pub property: &'static str,
    /// Tries it; panics when the property does not hold.
    pub check: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 17] = [
    Target {
        name: "envelope",
        property: "an envelope that is read is written as it was",
        check: documents::envelope,
    },
    Target {
        name: "json",
        property: "JSON that is read is written as it was",
        check: documents::json,
    },
    Target {
        name: "document",
        property: "a payload of any kind that is read is written as it was",
        check: documents::document,
    },
    Target {
        name: "signed",
        property: "what verifies is what was signed",
        check: documents::signed,
    },
    Target {
        name: "sse",
        property: "events that are read are written as they were, however they were cut",
        check: streams::sse,
    },
    Target {
        name: "frame",
        property: "a frame that is read has one spelling",
        check: streams::frame,
    },
    Target {
        name: "reception",
        property: "frames that are released are those that were sealed",
        check: streams::reception,
    },
    Target {
        name: "transcript",
        property: "a transcript that verifies has the frames that were sealed",
        check: streams::transcript,
    },
    Target {
        name: "evidence",
        property: "evidence that is proven rests on what was signed",
        check: streams::evidence,
    },
    Target {
        name: "operation",
        property: "an operation that is read is written as it was",
        check: documents::operation,
    },
    Target {
        name: "admission",
        property: "a request that is admitted is the one that was signed",
        check: documents::admission,
    },
    Target {
        name: "invite",
        property: "an invite that is read is written as it was",
        check: texts::invite,
    },
    Target {
        name: "names",
        property: "names, keys and addresses that are read are written as they were, in ASCII",
        check: texts::names,
    },
    Target {
        name: "tool-args",
        property: "a tool's arguments are one object, in which every reader finds the same members",
        check: texts::tool_args,
    },
    Target {
        name: "decision",
        property: "a decision that counts is the one that was signed",
        check: approvals::decision,
    },
    Target {
        name: "catalog",
        property: "a catalog that is taken is the one that was signed",
        check: approvals::catalog,
    },
    Target {
        name: "approval-record",
        property: "a record's line that is read is written as it was, and nothing made up is approved",
        check: approvals::record,
    },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_target_holds_on_its_seeds_and_has_some() {
        for target in TARGETS {
            let seeds = seeds::of(target.name);
            assert!(!seeds.is_empty(), "{}", target.name);
            for seed in seeds {
                (target.check)(&seed);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_target_holds_on_bent_seeds(
            places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            for target in TARGETS {
                for mut seed in seeds::of(target.name).into_iter().filter(|seed| !seed.is_empty()) {
                    for (at, byte) in &places {
                        let at = at.index(seed.len());
                        seed[at] = *byte;
                    }
                    (target.check)(&seed);
                    seed.truncate(cut.index(seed.len()));
                    (target.check)(&seed);
                }
            }
        }
    }
}
