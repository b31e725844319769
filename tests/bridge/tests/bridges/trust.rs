//! The federation document of a real bridge: shown, compared, exported, and edited behind its back.

use landbridge_harness::bridge::{Bridge, Pair, text};
use rusqlite::{Connection, params};

async fn said(bridge: &Bridge, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = bridge.output(arguments).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn database(bridge: &Bridge) -> Connection {
    Connection::open(bridge.home().join("state").join("landbridge.db")).unwrap()
}

#[tokio::test]
async fn people_see_what_changes_before_it_is_signed_and_what_changed_after() {
    let pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let b = &pair.b;
    let dry = ["grant", "add", "us", "--agent", "other", "--deadline-max", "5m", "--dry-run"];
    let (code, _, shown) = said(b, &dry).await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("+ agents = other") && shown.contains("- deadline_ms_max = 3600000"),
        "{shown}"
    );
    assert!(shown.contains("1 grant changed") && shown.contains("nothing was signed"), "{shown}");
    let versions = b.json(&["trust", "history"]).await.unwrap();
    assert_eq!(versions.as_array().unwrap().len(), 2, "a dry run signs nothing");

    assert_eq!(said(b, &dry[..dry.len() - 1]).await.0, Some(0));
    // What says the same already is not signed once more.
    let (code, _, shown) = said(b, &dry[..dry.len() - 1]).await;
    assert!(code == Some(0) && shown.contains("says so already"), "{shown}");
    let versions = b.json(&["trust", "history"]).await.unwrap();
    let versions = versions.as_array().unwrap();
    let changes: Vec<_> = versions.iter().map(|one| one["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["1 peer added", "1 grant added", "1 grant changed"]);
    assert!(versions.iter().all(|one| one["verifies"] == true && one["signers"][0].is_string()));

    let diff = b.json(&["trust", "diff"]).await.unwrap();
    assert_eq!((&diff["from"], &diff["to"]), (&2.into(), &3.into()));
    assert_eq!(diff["changes"][0]["what"], "grant");
    let diff = b.json(&["trust", "diff", "1", "2"]).await.unwrap();
    assert_eq!(diff["summary"], "1 grant added");
    assert_eq!(said(b, &["trust", "diff", "9"]).await.0, Some(16));
    let (_, whole, _) = said(b, &["trust", "show"]).await;
    assert!(
        whole.contains("peer us") && !whole.contains("helper") && whole.contains("demo, other"),
        "{whole}"
    );

    // The audit log has what was and what is.
    let audit = b.audit().await.unwrap();
    let last = audit.iter().rev().find(|event| event["deed"] == "federation_changed").unwrap();
    let detail = &last["detail"];
    assert_eq!((&detail["from_version"], &detail["version"]), (&"2".into(), &"3".into()));
    assert_eq!(detail["from_digest"], versions[1]["digest"]);
    assert_eq!(detail["digest"], versions[2]["digest"]);
    assert_eq!(detail["change"], "1 grant changed");

    // An export proves itself at another place, to whoever knows the gateway.
    let file = b.home().join("trust.json");
    let path = file.to_str().unwrap();
    assert_eq!(said(b, &["trust", "export", "--version", "2", "--output", path]).await.0, Some(0));
    let a = &pair.a;
    assert_eq!(said(a, &["trust", "verify", path, "--pin", b.gateway()]).await.0, Some(0));
    assert_eq!(said(a, &["trust", "verify", path, "--pin", a.gateway()]).await.0, Some(3));
    assert!(said(a, &["trust", "show", "--file", path]).await.1.contains("peer us"));
    let bytes = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, bytes.replacen("\"sig\":\"", "\"sig\":\"A", 1)).unwrap();
    assert_ne!(said(a, &["trust", "verify", path, "--pin", b.gateway()]).await.0, Some(0));
    std::fs::write(&file, "{}").unwrap();
    assert_eq!(said(a, &["trust", "verify", path, "--pin", b.gateway()]).await.0, Some(4));
}

//= ID-27
//= ID-28
#[tokio::test]
async fn a_document_that_was_edited_in_the_database_stops_the_bridge_until_a_good_one_is_put_back()
{
    let mut pair = Pair::granted(&[], &[], &[]).await.unwrap();
    let file = pair.b.home().join("trust.json");
    let path = file.to_str().unwrap();
    assert_eq!(said(&pair.b, &["trust", "export", "--output", path]).await.0, Some(0));
    pair.b.stop().await.unwrap();

    let newest = "SELECT version, envelope FROM documents WHERE kind = 'federation'
                  ORDER BY version DESC LIMIT 1";
    let read = |db: &Connection| {
        db.query_row(newest, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
            .unwrap()
    };
    let (version, good) = read(&database(&pair.b));
    let put = |text: &str| {
        let db = database(&pair.b);
        let sql = "UPDATE documents SET envelope = ?1 WHERE kind = 'federation' AND version = ?2";
        assert_eq!(db.execute(sql, params![text, version]).unwrap(), 1);
    };
    // The payload with more than was granted, under the old signature.
    let mut envelope: serde_json::Value = serde_json::from_str(&good).unwrap();
    let payload = data_encoding::BASE64.decode(envelope["payload"].as_str().unwrap().as_bytes());
    let payload = String::from_utf8(payload.unwrap()).unwrap();
    assert!(payload.contains("\"demo\""));
    let more = payload.replace("\"demo\"", "\"demo\",\"root\"");
    envelope["payload"] = data_encoding::BASE64.encode(more.as_bytes()).into();
    let edited = serde_json::to_string(&envelope).unwrap();
    let older: String = database(&pair.b)
        .query_row(
            "SELECT envelope FROM documents WHERE kind = 'federation' AND version = 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    for (what, text) in [("edited", edited.as_str()), ("garbage", "{}"), ("an older one", &older)] {
        put(text);
        let (code, _, told) = said(&pair.b, &["serve"]).await;
        assert_eq!(code, Some(1), "{what}: {told}");
        assert!(told.contains("landbridge trust restore FILE"), "{what}: {told}");
    }
    // Taken out of the database, the version before it would be a good signature.
    put(&good);
    database(&pair.b)
        .execute("DELETE FROM documents WHERE kind = 'federation' AND version = ?1", [version])
        .unwrap();
    let (code, _, told) = said(&pair.b, &["serve"]).await;
    assert!(code == Some(1) && told.contains("older"), "{told}");
    database(&pair.b).execute("DELETE FROM documents WHERE kind = 'federation'", []).unwrap();
    let (code, _, told) = said(&pair.b, &["serve"]).await;
    assert!(code == Some(1) && told.contains("is gone"), "{told}");

    // A good one above it, and everything works as it did.
    let (code, _, told) = said(&pair.b, &["trust", "restore", path]).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(
        said(&pair.b, &["trust", "restore", path]).await.0,
        Some(1),
        "nothing is wrong any more"
    );
    pair.b.serve().await.unwrap();
    let shown = pair.b.json(&["trust", "show"]).await.unwrap();
    assert_eq!(shown["version"], version + 1);
    let audit = pair.b.audit().await.unwrap();
    assert!(audit.iter().any(|event| event["deed"] == "federation_restored"));
    let run = pair.run("restored-key-0001", "say hello").await.unwrap();
    let mut seen = landbridge_harness::history::History::default();
    pair.a.api().follow(&run, &mut seen).await.unwrap();
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one story, told in its order")]
async fn a_member_is_admitted_by_commands_and_ends_with_its_root() {
    let place = tempfile::tempdir().unwrap();
    let mut a = Bridge::init(place.path().join("a"), &[]).await.unwrap();
    let mut b = Bridge::init(place.path().join("b"), &[]).await.unwrap();
    a.serve().await.unwrap();
    b.serve().await.unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (one, two) = (at("one.key"), at("two.key"));
    let first = text(&b.json(&["membership", "key", &one]).await.unwrap(), "public").unwrap();
    let second = text(&b.json(&["membership", "key", &two]).await.unwrap(), "public").unwrap();
    let add = [
        "trust",
        "root",
        "add",
        "guild",
        "--key",
        &first,
        "--key",
        &second,
        "--threshold",
        "2",
        "--max-members",
        "3",
        "--tenants",
        "acme",
    ];
    let (code, _, told) = said(&b, &add).await;
    assert!(code == Some(0) && told.contains("1 federation root added"), "{told}");
    let join = told
        .lines()
        .find_map(|line| line.strip_prefix("a member says: landbridge "))
        .unwrap()
        .to_owned();

    let (alone, both) = (at("alone.json"), at("both.json"));
    let issue = [
        "membership",
        "issue",
        "--federation",
        "guild",
        "--member",
        a.gateway(),
        "--tenants",
        "acme",
        "--expires-in",
        "1h",
        "--key",
        &one,
        "--output",
        &alone,
    ];
    assert_eq!(said(&a, &issue).await.0, Some(0));
    let cosign = ["membership", "sign", &alone, "--key", &two, "--output", &both];
    assert_eq!(said(&a, &cosign).await.0, Some(0));
    let joined = |file: &str| {
        join.split(' ')
            .map(|word| match word {
                "FILE" => file.to_owned(),
                "NAME" => "eu".to_owned(),
                other => other.to_owned(),
            })
            .collect::<Vec<_>>()
    };
    let too_few = joined(&alone);
    let too_few: Vec<&str> = too_few.iter().map(String::as_str).collect();
    assert_eq!(said(&a, &too_few).await.0, Some(1), "one of two keys signed");
    let enough = joined(&both);
    let enough: Vec<&str> = enough.iter().map(String::as_str).collect();
    let shown = a.json(&enough).await.unwrap();
    let words = text(&shown, "words").unwrap();
    let waiting = b.json(&["peer", "list"]).await.unwrap();
    let alias = text(&waiting[0], "alias").unwrap();
    assert_eq!(waiting[0]["words"], words.as_str());
    assert_eq!(said(&a, &["peer", "accept", "eu", "--words", &words]).await.0, Some(0));
    let (code, _, told) = said(&b, &["membership", "accept", &alias, "--as", "us"]).await;
    assert!(code == Some(0) && told.contains("1 federation root changed"), "{told}");
    let grant = ["grant", "add", "us", "--agent", "demo", "--tenant", "default:elsewhere"];
    assert_eq!(said(&b, &grant).await.0, Some(1), "not a tenant of the guild");
    let pair = Pair { a, b, place };
    pair.b
        .json(&["grant", "add", "us", "--agent", "demo", "--tenant", "default:acme"])
        .await
        .unwrap();
    assert_eq!(said(&pair.b, &["trust", "root", "remove", "guild"]).await.0, Some(0));
    let left = pair.b.json(&["trust", "show"]).await.unwrap();
    assert_eq!(left["document"]["peers"].as_array().unwrap().len(), 0);
}
