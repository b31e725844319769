//! Keys that lie elsewhere, under a passphrase, and in several hands: the real commands, the real files.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use landbridge_harness::bridge::{Bridge, Pair, free_address, program};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

const GOOD: &str = "correct horse battery staple";
const BAD: &str = "incorrect horse battery staple";

/// A file with a passphrase, as scripts have it.
fn passphrase(place: &Path, name: &str, text: &str) -> String {
    let path = place.join(name);
    std::fs::write(&path, format!("{text}\n")).unwrap();
    path.display().to_string()
}

/// Runs a command on a machine that has no bridge: no home, and only the variables that it is given.
async fn elsewhere(arguments: &[&str]) -> Output {
    let mut command = Command::new(program().unwrap());
    command.args(["--home", "/nonexistent/home", "--json"]).args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LANDBRIDGE_") {
            command.env_remove(&name);
        }
    }
    command.stdin(std::process::Stdio::null()).output().await.unwrap()
}

async fn done_elsewhere(arguments: &[&str]) -> Value {
    let output = elsewhere(arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Two bridges of which B's offline keys are kept as `further` says.
async fn pair(place: TempDir, further: &[&str], settings: &[(&str, &str)]) -> Pair {
    let a = Bridge::init(place.path().join("a"), &[]).await.unwrap();
    let mut b = Bridge::unmade(place.path().join("b"), settings).unwrap();
    b.make_with(further).await.unwrap();
    Pair::of(a, b, place).await.unwrap()
}

async fn succeeds(pair: &Pair, key: &str) {
    let run = pair.run(key, "say hello").await.unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let view = pair.a.json(&["run", "show", &run]).await.unwrap();
        if view["outcome"] == "succeeded" {
            return;
        }
        assert!(Instant::now() < until && view["outcome"].is_null(), "{view}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn encrypted_keys_on_a_stick_sign_with_the_passphrase_and_not_without() {
    let place = tempfile::tempdir().unwrap();
    let good = passphrase(place.path(), "good", GOOD);
    let bad = passphrase(place.path(), "bad", BAD);
    let stick = place.path().join("stick");
    let directory = stick.display().to_string();
    let further = ["--offline-dir", &directory, "--encrypt-offline", "--passphrase-file", &good];
    let settings = [("LANDBRIDGE_PASSPHRASE_FILE", good.as_str())];
    // Pairing signs with the policy key, so it has worked when this returns.
    let pair = pair(place, &further, &settings).await;
    for name in ["root.key", "policy.key"] {
        let text = std::fs::read_to_string(stick.join(name)).unwrap();
        assert!(text.starts_with("landbridge-sealed-key-v1 "), "{name}");
    }
    assert_eq!(std::fs::read_dir(pair.b.home().join("offline")).unwrap().count(), 0);
    pair.grant(&[]).await.unwrap();
    succeeds(&pair, "with-encrypted-keys").await;

    let grant = ["grant", "add", "us", "--agent", "other"];
    let wrong = [&grant[..], &["--passphrase-file", &bad]].concat();
    let refused = pair.b.output(&wrong).await.unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    // The stick is pulled out, and comes back.
    let pocket = pair.place.path().join("pocket");
    std::fs::rename(&stick, &pocket).unwrap();
    let refused = pair.b.output(&grant).await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("--offline-dir"), "{}", said(&refused));
    succeeds(&pair, "without-the-stick").await;
    std::fs::rename(&pocket, &stick).unwrap();
    let granted = || async {
        pair.b.json(&["grant", "list", "us"]).await.unwrap().to_string().contains("other")
    };
    assert!(!granted().await);
    pair.b.json(&grant).await.unwrap();
    assert!(granted().await);

    // A rotation keeps the successors where and as the former ones are.
    pair.b.json(&["key", "rotate", "root", "policy", "--all-online"]).await.unwrap();
    let files: Vec<PathBuf> =
        std::fs::read_dir(&stick).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 4);
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.starts_with("landbridge-sealed-key-v1 "), "{}", file.display());
    }
    pair.b.json(&["grant", "add", "us", "--agent", "third"]).await.unwrap();
    succeeds(&pair, "after-the-rotation").await;
    // Nothing that is printed or logged holds a passphrase.
    let log = std::fs::read_to_string(pair.b.home().join("bridge.log")).unwrap();
    assert!(!log.contains(GOOD) && !said(&refused).contains(GOOD));
}

#[tokio::test]
async fn a_passphrase_is_set_changed_and_taken_away() {
    let place = tempfile::tempdir().unwrap();
    let good = passphrase(place.path(), "good", GOOD);
    let other = passphrase(place.path(), "other", "quite another passphrase");
    let home = place.path().join("a");
    let bridge = Bridge::init(home.clone(), &[]).await.unwrap();
    let file = home.join("offline/policy.key").display().to_string();
    let before = std::fs::read_to_string(&file).unwrap();
    assert!(before.starts_with("landbridge-key-v1 policy "));
    let change = |further: &'static [&'static str]| [&["key", "passphrase"], further].concat();
    let with = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let file = file.clone();
        async move {
            let mut all: Vec<&str> = vec!["key", "passphrase", &file];
            all.extend(arguments.iter().map(String::as_str));
            elsewhere(&all).await
        }
    };
    assert_eq!(with(&[]).await.status.code(), Some(64), "nobody to ask");
    assert!(with(&["--new-passphrase-file", &good]).await.status.success());
    let sealed = std::fs::read_to_string(&file).unwrap();
    assert!(sealed.starts_with("landbridge-sealed-key-v1 policy "));
    let refused = with(&["--new-passphrase-file", &other]).await;
    assert_eq!(refused.status.code(), Some(1), "the present one is needed: {}", said(&refused));
    let refused = with(&["--passphrase-file", &other, "--danger-remove"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), sealed);
    let both = ["--passphrase-file", &good, "--new-passphrase-file", &other];
    assert!(with(&both).await.status.success());
    assert!(with(&["--passphrase-file", &other, "--danger-remove"]).await.status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    // The daemon could not be asked.
    let online = bridge.home().join("keys/stream.key").display().to_string();
    let mut all = change(&["--new-passphrase-file"]);
    all.extend([good.as_str(), online.as_str()]);
    assert_eq!(elsewhere(&all).await.status.code(), Some(1));
    // A passphrase that can be guessed is none.
    let short = passphrase(place.path(), "short", "sesame");
    assert_eq!(with(&["--new-passphrase-file", &short]).await.status.code(), Some(64));
}

#[tokio::test]
async fn init_leaves_nothing_behind_where_the_offline_directory_cannot_be_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let mut bridge = Bridge::unmade(place.path().join("home"), &[]).unwrap();
    let open = place.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    let open = open.display().to_string();
    let missing = place.path().join("not-mounted/keys").display().to_string();
    let refusals = [
        (&["--offline-dir", open.as_str()][..], "chmod go= "),
        (&["--offline-dir", &missing], "mkdir -m 700 "),
        (&["--encrypt-offline"], "--passphrase-file"),
        (&["--root-keys", "2-of-3", "--root-key-dir", &open], "--root-key-dir"),
    ];
    for (further, next) in refusals {
        let error = bridge.make_with(further).await.unwrap_err().to_string();
        assert!(error.contains(next), "{error}");
        assert!(!bridge.home().exists(), "{further:?}");
    }
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o700)).unwrap();
    bridge.make_with(&["--offline-dir", &open]).await.unwrap();
    bridge.serve().await.unwrap();
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one story, told in its order")]
async fn two_of_three_people_move_the_gateway_and_replace_the_third() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).display().to_string();
    let (anna, ben, carla, draft, copy) =
        (at("anna"), at("ben"), at("carla"), at("next.draft"), at("copy.draft"));
    let new = free_address().unwrap();
    let moved = format!("https://{new}");
    let keys = ["root-1.key", "root-2.key", "root-3.key"];
    let [a_key, b_key, c_key] = [&anna, &ben, &carla];
    let key = |at: &str, index: usize| format!("{at}/{}", keys[index]);
    let (a_key, b_key, c_key) = (key(a_key, 0), key(b_key, 1), key(c_key, 2));
    let further = [
        "--root-keys",
        "2-of-3",
        "--root-key-dir",
        &anna,
        "--root-key-dir",
        &ben,
        "--root-key-dir",
        &carla,
    ];
    let mut pair = pair(place, &further, &[]).await;
    pair.grant(&[]).await.unwrap();
    succeeds(&pair, "before-the-ceremony").await;

    // One key alone rotates nothing; two do.
    let online = ["key", "rotate", "stream"];
    let refused = pair.b.output(&online).await.unwrap();
    assert!(
        said(&refused).contains("wants 2 of its 3 root keys, and 0 are here"),
        "{}",
        said(&refused)
    );
    let one = [&online[..], &["--root-key", &a_key]].concat();
    let twice = [&one[..], &["--root-key", &a_key]].concat();
    for few in [one, twice] {
        let refused = pair.b.output(&few).await.unwrap();
        assert!(said(&refused).contains("and 1 is here"), "{}", said(&refused));
    }
    let two = [&online[..], &["--root-key", &a_key, "--root-key", &c_key]].concat();
    assert_eq!(pair.b.json(&two).await.unwrap()["version"], 2);
    assert_eq!(pair.b.output(&["key", "rotate", "root"]).await.unwrap().status.code(), Some(1));

    // Carla goes, David comes, and the gateway moves.
    let david = format!("{}/david.key", pair.b.home().display());
    let comes = done_elsewhere(&["root", "new-key", &david]).await;
    let public = comes["public"].as_str().unwrap();
    let listed = pair.b.json(&["key", "list"]).await.unwrap();
    let carlas = std::fs::read_to_string(&c_key).unwrap();
    let root_kids: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["role"] == "root")
        .filter_map(|key| key["kid"].as_str())
        .collect();
    assert_eq!(root_kids.len(), 3);
    let carlas = kid_of(&carlas);
    assert!(root_kids.contains(&carlas.as_str()));
    let drafted = pair
        .b
        .json(&[
            "root",
            "draft",
            &draft,
            "--endpoint",
            &moved,
            "--add-root-key",
            public,
            "--remove-root-key",
            &carlas,
        ])
        .await
        .unwrap();
    assert_eq!(drafted["missing"], serde_json::json!({"before": 2, "after": 2}));
    assert_eq!(pair.b.output(&["root", "publish", &draft]).await.unwrap().status.code(), Some(1));
    assert_eq!(
        elsewhere(&["root", "sign", &draft, "--key", &a_key]).await.status.code(),
        Some(64),
        "nobody looked at it",
    );
    std::fs::copy(&draft, &copy).unwrap();
    let signed = done_elsewhere(&["root", "sign", &draft, "--key", &a_key, "--yes"]).await;
    assert_eq!(signed["missing"], serde_json::json!({"before": 1, "after": 1}));
    // David signs another copy: for the root that comes, not for the one that is left.
    let signed = done_elsewhere(&["root", "sign", &copy, "--key", &david, "--yes"]).await;
    assert_eq!(signed["missing"], serde_json::json!({"before": 2, "after": 1}));
    let refused = pair.b.output(&["root", "publish", &draft, &copy]).await.unwrap();
    assert!(said(&refused).contains("1 more of the present root's keys"), "{}", said(&refused));
    let policy = pair.b.home().join("offline/policy.key").display().to_string();
    assert_eq!(
        elsewhere(&["root", "sign", &draft, "--key", &policy, "--yes"]).await.status.code(),
        Some(1)
    );
    let signed = done_elsewhere(&["root", "sign", &copy, "--key", &b_key, "--yes"]).await;
    assert_eq!(signed["missing"], serde_json::json!({"before": 1, "after": 0}));
    let put = pair.b.json(&["root", "publish", &draft, &copy]).await.unwrap();
    assert_eq!(put["version"], 3);
    let late = pair.b.output(&["root", "publish", &draft, &copy]).await.unwrap();
    assert!(said(&late).contains("out of date"), "{}", said(&late));

    // A peer that has read the new root follows to the new address.
    //= ID-38
    succeeds(&pair, "before-the-gateway-moves").await;
    let known = pair.a.json(&["peer", "show", "eu"]).await.unwrap();
    assert_eq!(known["rootVersion"], 3, "{known}");
    let settings = pair.b.home().join("landbridge.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let old = pair.b.listen().to_string();
    pair.b.stop().await.unwrap();
    std::fs::write(&settings, text.replace(&old, &new.to_string())).unwrap();
    pair.b.serve().await.unwrap();
    succeeds(&pair, "after-the-gateway-moved").await;
    // And Carla signs nothing any more.
    let request = ["key", "rotate", "request"];
    let retired = [&request[..], &["--root-key", &a_key, "--root-key", &c_key]].concat();
    assert_eq!(pair.b.output(&retired).await.unwrap().status.code(), Some(1));
    let present = [&request[..], &["--root-key", &a_key, "--root-key", &david]].concat();
    assert_eq!(pair.b.json(&present).await.unwrap()["version"], 4);
}

/// The id of the key in a readable key file.
fn kid_of(line: &str) -> String {
    use landbridge_proto::trust::key::SecretKey;
    let seed = line.trim_end().rsplit(' ').next().unwrap();
    let seed = data_encoding::BASE64URL_NOPAD.decode(seed.as_bytes()).unwrap();
    let mut bytes = [0_u8; 32];
    bytes.copy_from_slice(&seed);
    SecretKey::from_seed(&bytes.into()).kid().to_string()
}
