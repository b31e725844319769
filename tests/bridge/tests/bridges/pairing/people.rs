//! Two people pair two bridges, and see at every moment what is waited for.

use landbridge_harness::bridge::{Bridge, text};
use landbridge_harness::terminal::at_a_terminal;

use super::{Two, fails, invite, said, show, state};

/// A side with its person: whoever types a command counts it.
struct Person<'a> {
    bridge: &'a Bridge,
    commands: usize,
}

impl<'a> Person<'a> {
    fn of(bridge: &'a Bridge) -> Self {
        Self { bridge, commands: 0 }
    }

    async fn types(&mut self, command: &[&str], answers: &str) -> String {
        self.commands += 1;
        let command = self.bridge.command(command).unwrap();
        let (status, screen) = at_a_terminal(command, answers).await.unwrap();
        assert!(status.success(), "{screen}");
        screen
    }
}

/// The line of the screen that begins so.
fn line<'a>(screen: &'a str, begin: &str) -> &'a str {
    let found = screen.lines().map(str::trim).find(|line| line.starts_with(begin));
    found.unwrap_or_else(|| panic!("no {begin:?} in {screen}"))
}

/// The twelve words as a screen shows them.
fn words(screen: &str) -> String {
    line(screen, "words").trim_start_matches("words").trim().to_owned()
}

//= ID-36
#[tokio::test]
async fn two_people_pair_with_two_commands_each_and_no_file() {
    let two = Two::strangers().await;
    let (mut a, mut b) = (Person::of(&two.a), Person::of(&two.b));
    let screen = b.types(&["peer", "invite", "us"], "").await;
    assert!(screen.contains('▀') && screen.contains("until"), "a QR code: {screen}");
    let invite = line(&screen, "gfp1:").to_owned();
    let joined = a.types(&["peer", "join", &invite, "--alias", "eu"], "").await;
    // Over the telephone: the same words on both screens.
    let here = a.types(&["peer", "accept", "eu"], "y\ny\n").await;
    let there = b.types(&["peer", "accept", "us"], "y\ny\n").await;
    assert_eq!(words(&joined), words(&here));
    assert_eq!(words(&here), words(&there));
    assert_eq!(words(&here).split(' ').count(), 12);
    assert!(here.contains("waits for the other side"), "{here}");
    assert!(there.contains("the pairing is done"), "{there}");
    assert!(a.commands <= 3 && b.commands <= 3, "{} and {}", a.commands, b.commands);
    assert_eq!((state(&two.a, "eu").await, state(&two.b, "us").await).0, "active");
    two.works("eu").await;
}

#[tokio::test]
async fn scripts_pair_with_at_most_three_commands_a_side() {
    let two = Two::strangers().await;
    let (mut at_a, mut at_b) = (0, 0);
    let mut a = async |command: &[&str]| {
        at_a += 1;
        two.a.json(command).await.unwrap()
    };
    let mut b = async |command: &[&str]| {
        at_b += 1;
        two.b.json(command).await.unwrap()
    };
    let invite = text(&b(&["peer", "invite", "us"]).await, "invite").unwrap();
    let words_a = text(&a(&["peer", "join", &invite, "--alias", "eu"]).await, "words").unwrap();
    let words_b = text(&b(&["peer", "show", "us"]).await, "words").unwrap();
    b(&["peer", "accept", "us", "--words", &words_a]).await;
    a(&["peer", "accept", "eu", "--words", &words_b]).await;
    assert!(at_a <= 3 && at_b <= 3, "{at_a} and {at_b}");
    two.works("eu").await;
}

//= ID-74
#[tokio::test]
async fn each_side_sees_at_every_moment_whom_the_pairing_waits_for() {
    let two = Two::strangers().await;
    let invite = invite(&two.b, "us").await;
    let joined = two.a.json(&["peer", "join", &invite, "--alias", "eu"]).await.unwrap();
    let words = text(&joined, "words").unwrap();
    let told = async |bridge: &Bridge, alias: &str, what: &str| {
        let output = bridge.output(&["peer", "show", alias]).await.unwrap();
        let (data, talk) = (String::from_utf8_lossy(&output.stdout).into_owned(), said(&output));
        assert!(talk.contains(what), "{what:?}: {talk}");
        assert!(data.contains(&words), "the words stay to be seen: {data}");
        let list = bridge.output(&["peer", "list"]).await.unwrap();
        String::from_utf8_lossy(&list.stdout).into_owned()
    };
    assert!(told(&two.a, "eu", "waits for both sides").await.contains("both sides"));
    assert!(told(&two.b, "us", "waits for both sides").await.contains("both sides"));
    // A run before anybody accepted.
    let start = ["run", "start", "eu", "--agent", "demo", "--prompt", "say hi"];
    fails(&two.a, &start, &["waits for both sides", "landbridge peer accept eu"]).await;

    two.a.json(&["peer", "accept", "eu", "--words", &words]).await.unwrap();
    assert!(told(&two.a, "eu", "waits for the other side").await.contains("the other side"));
    assert!(told(&two.b, "us", "the other side has accepted").await.contains("this side"));
    assert_eq!(state(&two.a, "eu").await, "awaitingPeer");
    fails(&two.a, &start, &["has not accepted", "there: landbridge peer accept"]).await;
    let runs = two.a.json(&["run", "list"]).await.unwrap();
    assert_eq!(runs["runs"], serde_json::json!([]));
    let doctor = two.a.output(&["doctor"]).await.unwrap();
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("waits for the other side"), "{doctor}");
    // Once more is no mistake.
    let again = two.a.output(&["peer", "accept", "eu", "--words", &words]).await.unwrap();
    assert!(again.status.success() && said(&again).contains("already"), "{}", said(&again));

    two.b.json(&["peer", "accept", "us", "--words", &words]).await.unwrap();
    for (bridge, alias) in [(&two.a, "eu"), (&two.b, "us")] {
        let shown = show(bridge, alias).await;
        assert_eq!(shown["state"], "active");
        assert!(shown["pairing"].is_null() && shown["words"].is_null(), "{shown}");
    }
    two.works("eu").await;
}

//= ID-36
#[tokio::test]
async fn wrong_words_accept_nothing_and_say_what_they_may_mean() {
    let two = Two::strangers().await;
    let invite = invite(&two.b, "us").await;
    let joined = two.a.json(&["peer", "join", &invite, "--alias", "eu"]).await.unwrap();
    let words = text(&joined, "words").unwrap();
    let wrong = words.rsplit_once(' ').unwrap().0.to_owned() + " zoo zoo";
    let told = ["the words differ", "somebody may stand between", "landbridge peer decline eu"];
    fails(&two.a, &["peer", "accept", "eu", "--words", &wrong], &told).await;
    // At a terminal: shown, asked, and denied.
    let command = two.a.command(&["peer", "accept", "eu"]).unwrap();
    let (status, screen) = at_a_terminal(command, "n\n").await.unwrap();
    assert!(!status.success() && screen.contains(&words), "{screen}");
    assert!(screen.contains("the words differ"), "{screen}");
    // Without anybody there: nothing is guessed.
    fails(&two.a, &["peer", "accept", "eu"], &["nobody is here to compare", "--words"]).await;
    assert_eq!(state(&two.a, "eu").await, "awaitingAccept");
    // Declined here: the other side learns that nobody will come.
    two.a.json(&["peer", "decline", "eu"]).await.unwrap();
    let output = two.b.output(&["peer", "show", "us"]).await.unwrap();
    assert!(said(&output).contains("does not know the pairing"), "{}", said(&output));
    assert!(said(&output).contains("landbridge peer invite"), "{}", said(&output));
    // And with the right words, in another pairing, it works.
    two.b.json(&["peer", "decline", "us"]).await.unwrap();
    two.pair("eu").await;
    two.works("eu").await;
}
