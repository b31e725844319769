//! Killed at a named point: what a command had begun is whole afterwards, or was never there.

use landbridge_harness::bridge::Bridge;

const POINTS: [&str; 3] =
    ["init.before_anything_is_in_place", "init.before_the_online_keys", "init.in_place"];

#[tokio::test]
async fn an_interrupted_init_is_finished_by_the_next_one() {
    for point in POINTS {
        let place = tempfile::tempdir().unwrap();
        let mut bridge = Bridge::unmade(place.path().join("bridge"), &[]).unwrap();
        let init = bridge.init_arguments();
        let init: Vec<&str> = init.iter().map(String::as_str).collect();
        bridge.dies(&init, point).await.unwrap();
        let keys = bridge.home().join("keys/stream.key");
        let key = std::fs::read(&keys).ok();
        if let Err(error) = bridge.make().await {
            // Only what had been complete is not made again.
            assert!(key.is_some() && error.to_string().contains("holds a bridge"), "{error}");
        }
        assert!(key.is_none_or(|key| key == std::fs::read(&keys).unwrap()), "{point}");
        bridge.serve().await.unwrap();
        bridge.stop().await.unwrap();
    }
}
