//! A plugin for the gateway whose tools write down each of their executions, so that a test can count
//! what really happened, whoever says what.

use std::fs;
use std::path::PathBuf;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The plugin's files, and the tally that its tools write.
#[derive(Debug)]
pub struct Tools {
    folder: TempDir,
}

impl Tools {
    /// Puts the plugin into a folder of its own.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be written.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("landbridge-tools-").tempdir()?;
        for (name, content) in FILES {
            fs::write(folder.path().join(name), content)?;
        }
        Ok(Self { folder })
    }

    /// Loads the plugin into a gateway's configuration.
    pub fn load(&self, config: &mut Value) {
        let entry = json!({"enabled": true, "config": {"tally": self.tally()}});
        config["plugins"] = json!({"enabled": true, "allow": [ID], "entries": {ID: entry},
            "load": {"paths": [self.folder.path()]}});
    }

    /// How often a tool came to a point (`begun` or `ended`) with a marker among its arguments.
    #[must_use]
    pub fn count(&self, point: &str, marker: &str) -> usize {
        let text = fs::read_to_string(self.tally()).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["what"] == point && line["args"]["marker"] == marker).count()
    }

    fn tally(&self) -> PathBuf {
        self.folder.path().join("tally.jsonl")
    }
}

/// Loads the product's plugin for approvals into a gateway's configuration, beside what is there.
pub fn load_approvals(config: &mut Value, settings: &Value) {
    let id = "landbridge-approvals";
    let folder = crate::workspace_root().join("plugin").to_string_lossy().into_owned();
    let plugins = &mut config["plugins"];
    plugins["enabled"] = json!(true);
    plugins["entries"][id] = json!({"enabled": true, "config": settings});
    for (list, more) in [("/allow", id), ("/load/paths", folder.as_str())] {
        let mut all = plugins.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
        all.push(json!(more));
        match list {
            "/allow" => plugins["allow"] = json!(all),
            _ => plugins["load"] = json!({"paths": all}),
        }
    }
}

/// The digest of a text, as a frame that shows no more of it has it.
#[must_use]
pub fn digest(text: &str) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(text.as_bytes()))
}

/// The text inside the envelope, where a line of a transcript holds one.
#[must_use]
pub fn payload(line: &Value) -> String {
    let payload = line["value"]["payload"].as_str().unwrap_or_default();
    let bytes = BASE64.decode(payload.as_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

const ID: &str = "landbridge-test-tools";
const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("../plugin/package.json")),
    ("openclaw.plugin.json", include_str!("../plugin/openclaw.plugin.json")),
    ("index.js", include_str!("../plugin/index.js")),
];
