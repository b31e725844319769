//! Which tools no peer calls, whatever a grant says.
//!
//! `tools.invoke` has no model in front of it and no approval behind it, and the gateway's own tools see
//! more than one caller: they list, read and write to every session of an agent, its memory, and the
//! gateway itself. A grant is a list of names, and a name tells an operator little. So the gateway's own
//! tools are closed, but for those few that only ask the world outside; a plugin's tools are open to grants, unless their family or their plugin is about sessions, memory or the gateway.

use landbridge_planted::planted;

/// Where the gateway's catalog says that a tool comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin<'a> {
    /// The gateway's own.
    Core,
    /// A plugin, by its id.
    Plugin(&'a str),
    /// Anything that this version does not know.
    Other,
}

/// Whether the name alone says that no peer calls the tool: for a warning when it is granted.
///
/// `false` promises nothing: a gateway may have tools of its own that this version does not know, and
/// they are closed too.
#[must_use]
pub fn is_closed_to_peers(tool: &str) -> bool {
    let tool = tool.to_ascii_lowercase();
    CORE_CLOSED.contains(&tool.as_str()) || is_of_closed_family(&tool)
}

/// Whether no peer calls the tool.
pub(crate) fn is_closed(tool: &str, origin: Origin<'_>) -> bool {
    //= REQ-42
    match origin {
        _ if planted!("closed_tools_open") => false,
        Origin::Core => !CORE_OPEN.contains(&tool),
        Origin::Plugin(id) => is_closed_to_peers(tool) || words(id).any(is_memory),
        Origin::Other => true,
    }
}

fn is_of_closed_family(tool: &str) -> bool {
    words(tool).next().is_some_and(|first| FAMILIES_CLOSED.contains(&first) || is_memory(first))
}

fn is_memory(word: &str) -> bool {
    matches!(word, "memory" | "memories")
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// Tools of the gateway's own that take a question or an address, and see nothing of this gateway. Those
/// that make media are not among them: they take files of the gateway as models, and tell where they
/// put theirs.
const CORE_OPEN: [&str; 3] = ["web_search", "web_fetch", "x_search"];

/// First words of names that are about other sessions or the gateway, whoever made the tool.
const FAMILIES_CLOSED: [&str; 26] = [
    "session",
    "sessions",
    "subagent",
    "subagents",
    "agent",
    "agents",
    "conversation",
    "conversations",
    "transcript",
    "transcripts",
    "gateway",
    "openclaw",
    "automation",
    "automations",
    "cron",
    "node",
    "nodes",
    "approval",
    "approvals",
    "secret",
    "secrets",
    "config",
    "plugin",
    "plugins",
    "operator",
    "landbridge",
];

/// The gateway's own tools of the tested version that are closed and whose family does not say so.
const CORE_CLOSED: [&str; 36] = [
    "ls",
    "read",
    "write",
    "edit",
    "apply_patch",
    "exec",
    "process",
    "code_execution",
    "suggest_task",
    "dismiss_task",
    "browser",
    "screen",
    "theme",
    "dashboard",
    "terminal",
    "portal",
    "canvas",
    "show_widget",
    "message",
    "heartbeat_respond",
    "computer",
    "mobile_ui",
    "get_goal",
    "create_goal",
    "update_goal",
    "update_plan",
    "progress_card",
    "ask_user",
    "skill_workshop",
    "view_image",
    "image",
    "image_generate",
    "music_generate",
    "video_generate",
    "tts",
    "pdf",
];

#[cfg(test)]
mod tests {
    use super::*;

    //= REQ-42
    #[test]
    fn what_reads_other_sessions_is_closed_whoever_made_it() {
        for tool in [
            "sessions_list",
            "sessions_history",
            "sessions_search",
            "sessions_send",
            "sessions_spawn",
            "session_status",
            "sessions",
            "subagents",
            "agents_list",
            "agents_wait",
            "conversations_send",
            "memory_search",
            "memory_get",
            "Sessions_List",
            "sessions.list",
            "sessions-list",
            "cron",
            "automations",
            "gateway",
            "nodes",
            "plugins",
            "secrets",
            "openclaw",
        ] {
            assert!(is_closed_to_peers(tool), "{tool}");
            assert!(is_closed(tool, Origin::Core), "{tool}");
            assert!(is_closed(tool, Origin::Plugin("helpful")), "{tool}");
        }
    }

    //= REQ-42
    #[test]
    fn the_gateways_own_tools_are_closed_until_they_are_known_to_be_harmless() {
        for tool in ["exec", "read", "message", "get_goal", "a_tool_of_the_next_version"] {
            assert!(is_closed(tool, Origin::Core), "{tool}");
        }
        for tool in CORE_OPEN {
            assert!(!is_closed(tool, Origin::Core) && !is_closed_to_peers(tool), "{tool}");
        }
        assert!(CORE_CLOSED.iter().all(|tool| is_closed_to_peers(tool)));
    }

    //= REQ-42
    #[test]
    fn a_plugins_tools_are_open_to_grants_but_for_memory() {
        assert!(!is_closed("ticket_create", Origin::Plugin("tickets")));
        assert!(!is_closed("weather_history", Origin::Plugin("weather")));
        assert!(!is_closed("list_nodes", Origin::Plugin("kubernetes")));
        assert!(is_closed("intent", Origin::Plugin("memory-core")));
        assert!(is_closed("recall", Origin::Plugin("active-memory")));
        assert!(is_closed("ticket_create", Origin::Other));
    }
}
