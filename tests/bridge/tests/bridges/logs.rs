//! What logs do not hold, also at the level that tells everything: prompts, outputs, arguments and results
//! of tools, tokens, and the secrets of invites.

use landbridge_harness::bridge::{Api, Bridge, Pair, free_address, start, text};
use landbridge_harness::history::History;
use landbridge_proto::trust::pairing::Invite;
use serde_json::json;

#[tokio::test]
async fn logs_tell_nothing_of_what_is_carried() {
    let loopback = free_address().unwrap();
    let place = tempfile::tempdir().unwrap();
    let listen = loopback.to_string();
    let local = [("LANDBRIDGE_LOCAL_LISTEN", listen.as_str())];
    let mut a = Bridge::init(place.path().join("a"), &local).await.unwrap();
    let mut b = Bridge::init(place.path().join("b"), &[]).await.unwrap();
    a.log("trace");
    b.log("trace");
    let pair = Pair::of(a, b, place).await.unwrap();
    let tools = ["--ask", "prompt", "--ask", "tool-call", "--tool", "t.needle"];
    let shown = ["output", "tool-args", "tool-results"].map(|what| format!("--disclose-{what}"));
    let shown: Vec<&str> = shown.iter().flat_map(|flag| [flag.as_str(), "full"]).collect();
    pair.grant(&[&tools[..], &shown].concat()).await.unwrap();

    let token =
        text(&pair.a.json(&["token", "create", "engine"]).await.unwrap(), "secret").unwrap();
    let bearer = format!("Bearer {token}");
    let ask = async |body| {
        let shown = [("authorization", bearer.as_str())];
        let api = Api::Loopback(loopback);
        let answer = api.send(http::Method::POST, "/v1/runs", &shown, Some(&body)).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.code());
        let mut history = History::default();
        let run = answer.json()["run"].as_str().unwrap().to_owned();
        pair.a.api().follow(&run, &mut history).await.unwrap();
        history.lines().concat()
    };
    let prompt = "needle-prompt\nsay needle-output\nthink needle-thought\n\
        tool t.look {\"x\":\"needle-arguments\"} => needle-result\nfail needle-failure";
    let told = ask(start("a-prompt-with-needles", prompt)).await;
    let mut call = start("a-tool-with-needles-1", "");
    call.as_object_mut().unwrap().remove("prompt");
    call["toolCall"] = json!({"tool": "t.needle", "args": {"x": "needle-call"}});
    let called = ask(call).await;
    let invite = text(&pair.b.json(&["peer", "invite", "third"]).await.unwrap(), "invite").unwrap();
    let joined = pair.a.output(&["peer", "join", &invite, "--alias", "third"]).await.unwrap();
    assert!(!joined.status.success(), "they know each other");
    let secret = String::from(Invite::parse(&invite).unwrap().secret);

    // The needles were there to be told.
    for needle in ["needle-prompt", "needle-output", "needle-thought", "needle-arguments"] {
        assert!(told.contains(needle), "{needle} was not carried: {told}");
    }
    assert!(told.contains("needle-result") && called.contains("needle-call"), "{called}");
    let needles = ["needle-", &token, &invite[5..], &secret];
    for bridge in [&pair.a, &pair.b] {
        let log = std::fs::read_to_string(bridge.home().join("bridge.log")).unwrap();
        assert!(log.contains("TRACE"), "the log does not tell everything");
        for needle in needles {
            let found = log.lines().find(|line| line.contains(needle));
            assert_eq!(found, None, "{needle} is in the log of {}", bridge.gateway());
        }
    }
}
