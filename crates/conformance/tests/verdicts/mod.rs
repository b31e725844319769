//! What must come of the kit's cases: all pass, and each planted fault fails its own.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Bridges at once; most of their time they wait.
const AT_ONCE: usize = 4;

/// Every case passes, and there are as many of them as there must be.
pub(crate) fn all_pass(told: &Value, cases_min: usize) {
    let cases = told["cases"].as_array().unwrap();
    let others: Vec<&Value> = cases.iter().filter(|case| case["verdict"] != "pass").collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(cases.len() >= cases_min, "{} cases", cases.len());
}

/// Plants one fault after the other, and sees its case fail. `tried` tells what the kit says of the case alone.
pub(crate) async fn each_is_found<T>(
    faults: &'static [(&'static str, &'static str)],
    tried: impl Fn(&'static str, &'static str) -> T,
) where
    T: Future<Output = Value> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut trials = JoinSet::new();
    for (fault, case) in faults {
        let (places, told) = (Arc::clone(&places), tried(fault, case));
        trials.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let verdict = told.await["cases"][0].clone();
            let (told, clauses) = (&verdict["verdict"], &verdict["clauses"]);
            println!("{fault}: {told} by {case}, {clauses}: {}", verdict["reason"]);
            (*fault, verdict["verdict"] == "fail")
        });
    }
    let mut missed = trials.join_all().await;
    missed.retain(|(_, found)| !found);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
