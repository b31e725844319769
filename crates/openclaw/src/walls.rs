//! Whether one agent of the gateway can read what others said.
//!
//! A grant gives a tenant pair agents of its own, because inside an agent sessions, memory and workspace
//! are one room. But by its defaults OpenClaw lets the session tools of any agent list, search and read
//! every session of the gateway, so a prompt of one tenant could read the words of another, and of the
//! operator. Only the gateway's own settings close that door; the bridge can look whether it is closed.

use serde_json::{Value, json};

use crate::connection::Connection;
use crate::wire::text;

/// What is worth a warning in the gateway's settings.
pub(crate) async fn cautions(connection: &Connection) -> Vec<String> {
    match connection.call("config.get", &json!({})).await {
        Ok(answer) => open_door(&answer).then(|| OPEN.to_owned()).into_iter().collect(),
        Err(fault) => vec![format!("the gateway's settings cannot be read: {fault}; {REMEDY}")],
    }
}

/// The session tools reach over the borders of agents.
fn open_door(answer: &Value) -> bool {
    let config = ["/resolved", "/config", "/parsed"].into_iter().find_map(|at| answer.pointer(at));
    let config = config.unwrap_or(&Value::Null);
    let narrow = matches!(text(config, "/tools/sessions/visibility"), "self" | "tree" | "agent");
    let apart = config.pointer("/tools/agentToAgent/enabled") == Some(&Value::Bool(false));
    !narrow && !apart
}

const OPEN: &str = "agents of this gateway can read each other's sessions, and so can peers through \
    them: set tools.sessions.visibility to \"tree\" and tools.agentToAgent.enabled to false in the \
    gateway's configuration";
const REMEDY: &str = "see to it that tools.sessions.visibility is \"tree\" and \
    tools.agentToAgent.enabled is false";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_setting_closes_the_door_and_the_default_is_open() {
        let open = |tools: Value| open_door(&json!({"config": {"tools": tools}}));
        assert!(open(json!({})) && open_door(&json!({})) && open_door(&Value::Null));
        assert!(open(json!({"sessions": {"visibility": "all"}})));
        assert!(open(json!({"agentToAgent": {"enabled": true}})));
        // A list of agents may name both tenants.
        assert!(open(json!({"agentToAgent": {"allow": ["acme", "bolt"]}})));
        for visibility in ["self", "tree", "agent"] {
            assert!(!open(json!({"sessions": {"visibility": visibility}})), "{visibility}");
        }
        assert!(!open(json!({"agentToAgent": {"enabled": false}})));
    }
}
