//! Documents and routes.

use anyhow::{Result, ensure};

use super::{Case, refusal_of};
use crate::caller::{ATTACH, CANCEL, Caller, INSPECT, RUNS};
use crate::home;
use crate::http;
use crate::wire::{self, Envelope};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "root-chain",
        clauses: &["ID-4", "ID-5", "ID-6", "ID-13"],
        about: "the current root is the last of a chain that makes the gateway id",
        run: |caller| {
            let chain = home::chain(&caller.place)?;
            ensure!(home::gid_of(&chain[0].0) == caller.gid, "another first root");
            let current = document(caller, "/federation/v1/root")?;
            ensure!(current.text() == chain[chain.len() - 1].0.text(), "two current roots");
            Ok(())
        },
    },
    Case {
        id: "root-form",
        clauses: &["ID-1", "ID-7", "ID-8"],
        about: "no key has two roles or outlives its root, and the root's life is bounded",
        run: |caller| {
            for root in &caller.roots() {
                let (issued, expires) = (root["issued"].as_i64(), root["expires"].as_i64());
                let life = expires.zip(issued).map_or(0, |(expires, issued)| expires - issued);
                ensure!((1..=34_560_000_000).contains(&life), "a root lives {life} ms");
                let mut named = Vec::new();
                for role in root["roles"].as_object().into_iter().flatten() {
                    named.extend(role.1["keyids"].as_array().into_iter().flatten());
                }
                let keys = root["keys"].as_object();
                ensure!(keys.is_some_and(|keys| keys.len() == named.len()), "a key has one role");
                for (kid, key) in keys.into_iter().flatten() {
                    ensure!(named.iter().any(|id| *id == kid), "{kid} has no role");
                    ensure!(key["exp"].as_i64() <= expires, "{kid} outlives its root");
                }
            }
            Ok(())
        },
    },
    Case {
        id: "root-unknown-version",
        clauses: &["ID-13", "PRB-2"],
        about: "a root that there is not is answered not_found",
        run: |caller| got(caller, ("GET", "/federation/v1/root/4000000"), "not_found"),
    },
    Case {
        id: "status-form",
        clauses: &["ID-15", "ID-16", "ID-17"],
        about: "the status is fresh, short-lived and names the current root",
        run: |caller| {
            let status = document(caller, "/federation/v1/status")?;
            let roots = caller.roots();
            let root = &roots[roots.len() - 1];
            let status = status.verified("status", root, "status", wire::now())?;
            let time = |name: &str| status[name].as_i64().unwrap_or_default();
            let life = time("expires") - time("issued");
            ensure!(status["iss"] == caller.gid, "a status of another gateway");
            ensure!((1..=86_400_000).contains(&life), "a status lives {life} ms");
            ensure!(status["seq"] == status["issued"], "seq is not issued");
            ensure!(wire::now() < time("expires"), "the status expired");
            ensure!(status["root_version"] == root["version"], "another root");
            Ok(())
        },
    },
    Case {
        id: "status-of-the-caller",
        clauses: &["ID-11", "ID-46"],
        about: "the caller's newest status up to a number is told as it was stapled, or not_found",
        run: |caller| {
            caller.run(&caller.start()?)?;
            let own = caller.status();
            let seq = wire::document(&own.payload)?["seq"].as_i64().unwrap_or_default();
            let path = |gid: &str, seq: i64| format!("/federation/v1/status/{gid}/{seq}");
            for seq in [seq, seq + 1_000] {
                let told = document(caller, &path(&caller.home.gid, seq))?;
                ensure!(told.text() == own.text(), "another status up to {seq}");
            }
            let nobody = format!("gw1-{}", "a".repeat(52));
            got(caller, ("GET", &path(&nobody, seq)), "not_found")?;
            got(caller, ("GET", &path(&caller.home.gid, 1)), "not_found")
        },
    },
    Case {
        id: "route-unknown",
        clauses: &["REQ-4"],
        about: "a path that is no route byte for byte is not_found",
        run: |caller| {
            for path in ["/federation/v1/runs/", "/federation/v1//runs", "/federation/v1/Runs"] {
                got(caller, ("POST", path), "not_found")?;
            }
            Ok(())
        },
    },
    Case {
        id: "route-method",
        clauses: &["REQ-4"],
        about: "a method that a route does not take is method_not_allowed",
        run: |caller| {
            for path in [RUNS, ATTACH, CANCEL, INSPECT] {
                got(caller, ("GET", path), "method_not_allowed")?;
            }
            got(caller, ("POST", "/federation/v1/status"), "method_not_allowed")
        },
    },
    Case {
        id: "media-type",
        clauses: &["REQ-3"],
        about: "an operation of another media type is unsupported_encoding",
        run: |caller| encoded(caller, &[("Content-Type", "text/plain")]),
    },
    Case {
        id: "content-encoding",
        clauses: &["REQ-3"],
        about: "an operation with a content coding is unsupported_encoding",
        run: |caller| {
            encoded(caller, &[("Content-Type", "application/json"), ("Content-Encoding", "gzip")])
        },
    },
];

fn document(caller: &Caller, path: &str) -> Result<Envelope> {
    let mut reply = http::ask(&caller.place, ("GET", path), &[], &[])?;
    ensure!(reply.status == 200, "{path} is answered {}", reply.status);
    Envelope::read(&reply.all()?)
}

fn got(caller: &Caller, route: (&str, &str), code: &str) -> Result<()> {
    let json = [("Content-Type", "application/json")];
    let reply = http::ask(&caller.place, route, &json, &[])?;
    refusal_of(caller, reply, None, (code, false)).map(drop)
}

fn encoded(caller: &Caller, headers: &[(&str, &str)]) -> Result<()> {
    let start = caller.start()?;
    let body = caller.operation(&caller.sign(&start)?);
    let reply = http::ask(&caller.place, ("POST", RUNS), headers, body.as_bytes())?;
    refusal_of(caller, reply, None, ("unsupported_encoding", false))?;
    super::nothing_of(caller, &start)
}
