//! Many scenarios against one gateway: a gateway takes seconds to start and a gigabyte to run.

use std::time::Instant;

use tokio::task::JoinError;

/// Scenarios that were played. Each fails alone and is named.
#[derive(Debug, Default)]
pub struct Scenarios(Vec<(&'static str, Result<(), JoinError>)>);

impl Scenarios {
    /// Plays one, unless `LANDBRIDGE_SCENARIO` names another.
    pub async fn play(
        &mut self,
        name: &'static str,
        scenario: impl Future<Output = ()> + Send + 'static,
    ) {
        let only = std::env::var("LANDBRIDGE_SCENARIO").unwrap_or_default();
        if !name.contains(only.as_str()) {
            return;
        }
        let begun = Instant::now();
        let played = tokio::spawn(scenario).await;
        let verdict = if played.is_ok() { "ok" } else { "FAILED" };
        println!("scenario {name} ... {verdict} ({} ms)", begun.elapsed().as_millis());
        self.0.push((name, played));
    }

    /// Fails when one failed.
    pub fn finish(self) {
        let failed: Vec<_> =
            self.0.iter().filter(|(_, played)| played.is_err()).map(|(name, _)| name).collect();
        assert!(failed.is_empty(), "failed: {failed:?}");
    }
}
