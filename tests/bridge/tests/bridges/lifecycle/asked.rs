//! Limits that a caller asks for on the command line, and that its executor keeps.

use landbridge_harness::bridge::Pair;

//= REQ-57
//= REQ-62
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_keeps_to_the_limits_of_its_command() {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let prompt = "usage 30 1 400\nusage 60 2 900\nsay done\nsay well";
    let within = ["--tokens", "62", "--cost", "0.0009", "--frames", "99", "--bytes", "99999"];
    // What has succeeded has: a run beyond its limits must be caught while it goes on.
    let endless = format!("{prompt}\nhang");
    for (limits, prompt, ends) in [
        (&within[..], prompt, 0),
        (&["--tokens", "40"], &endless, 10),
        (&["--cost", "0.0005"], &endless, 10),
        (&["--frames", "3"], &endless, 10),
        (&["--bytes", "200"], &endless, 10),
    ] {
        let line = ["run", "start", "eu", "--agent", "demo", "--prompt", prompt];
        let output = pair.a.output(&[&line, limits].concat()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(ends), "{limits:?}: {said}");
        assert_eq!(said.contains("budget_exceeded"), ends == 10, "{limits:?}: {said}");
    }
}
