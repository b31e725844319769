// Lets tool calls of federated runs wait for an approval, and lets the bridge see exactly what waits.
//
// The bridge starts its runs with `channel: "landbridge"`. That makes this plugin's channel the place where
// such a run's approvals can be answered, so the gateway waits instead of denying at once; and a gateway
// without this plugin does not know the channel and refuses the run. The channel carries no messages.
import { createHash } from "node:crypto";
import path from "node:path";
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";

const ID = "landbridge-approvals";
const CHANNEL = "landbridge";
// The bridge's sessions are `agent:<agent>:fed-<hash>`.
const FEDERATED = /^agent:[^:]+:fed-/;
const SUBAGENT = /^agent:([^:]+):(?:.*:)?subagent:/;
const DEPTH_MAX = 16;
const DANGEROUS = [
  ...["exec", "process", "code_execution", "write", "edit", "apply_patch"],
  ...["browser", "nodes", "gateway", "cron", "automations", "message"],
  ...["sessions_send", "sessions_spawn", "agents_create", "skill_workshop"],
];
const SUBJECT_BYTES_MAX = 65536;
const CALLS_MAX = 256;
const SUMMARY_CHARS = 200;
// What waits or works now: `<run> <call>` to `{ session, subject }`. The gateway loads a plugin more than once,
// and its hooks and its methods are then those of different modules.
const calls = (globalThis[Symbol.for("landbridge.approvals.calls")] ??= new Map());

export default definePluginEntry({
  id: ID,
  name: "Landbridge approvals",
  description: "Lets tool calls of federated runs wait for an approval that the bridge answers.",
  register(api) {
    const { tools = DANGEROUS, agents = ["*"], timeoutSeconds = 600 } = api.pluginConfig ?? {};
    const names = (list, name) => list.includes("*") || list.includes(name);
    api.registerChannel({ plugin: channel() });

    api.on(
      "before_tool_call",
      (event, context) => {
        const session = context.sessionKey ?? "";
        if (!isFederated(api, session)) return undefined;
        const tool = event.toolName;
        // Outside a run it is the bridge that starts a subagent; what the subagent calls is gated.
        if (tool === "sessions_spawn" && !context.runId) return undefined;
        const config = api.runtime.config.current();
        const cwd = api.runtime.agent.resolveAgentWorkspaceDir(config, context.agentId);
        const host = hostOf(config, context.agentId);
        const args = tool === "exec" ? withFolder(event.params, cwd, host) : event.params;
        const subject = JSON.stringify({
          v: 1,
          tool,
          args,
          cwd,
          agent: context.agentId,
          session,
          run: context.runId,
          call: context.toolCallId,
        });
        const asks = names(tools, tool) && names(agents, context.agentId);
        if (Buffer.byteLength(subject) > SUBJECT_BYTES_MAX) {
          // Nobody could see it whole.
          return asks ? { block: true, blockReason: "The call is too large to be approved." } : undefined;
        }
        const key = `${context.runId} ${context.toolCallId}`;
        // Whose end was never told goes first.
        if (calls.size >= CALLS_MAX) calls.delete(calls.keys().next().value);
        calls.set(key, { session, subject });
        // The parameters go back as they are shown: an approval covers these and no later hook changes them.
        if (!asks) return { params: args };
        return {
          params: args,
          requireApproval: {
            title: ascii(`Federated run: ${tool}`, 80),
            description: `sha256:${digest(subject)} ${ascii(JSON.stringify(args), SUMMARY_CHARS)}`,
            severity: "critical",
            allowedDecisions: ["allow-once", "deny"],
            timeoutMs: timeoutSeconds * 1000,
            onResolution(decision) {
              if (decision !== "allow-once") calls.delete(key);
            },
          },
        };
      },
      // First of all hooks: the first one that asks decides what is asked.
      { priority: 1_000_000 },
    );

    api.on("after_tool_call", (event, context) => {
      calls.delete(`${event.runId ?? context.runId} ${event.toolCallId ?? context.toolCallId}`);
    });

    api.registerGatewayMethod(
      "landbridge.approvals.calls",
      ({ params, respond }) => {
        const open = [...calls.values()].filter((call) => call.session === params?.sessionKey);
        respond(true, { v: 1, tools, agents, subjects: open.map((call) => call.subject) });
      },
      { scope: "operator.approvals" },
    );
  },
});

// A session of the bridge's own, or a subagent's below one. What cannot be told apart is gated.
function isFederated(api, session) {
  let key = session;
  for (let depth = 0; depth < DEPTH_MAX; depth += 1) {
    if (FEDERATED.test(key)) return true;
    const [, agentId] = SUBAGENT.exec(key) ?? [];
    if (agentId === undefined) return false;
    key = api.runtime.agent.session.getSessionEntry({ agentId, sessionKey: key })?.spawnedBy ?? "";
    if (key === "") return true;
  }
  return true;
}

// A place for approvals and for nothing else.
function channel() {
  return {
    id: CHANNEL,
    meta: { id: CHANNEL, label: "Landbridge", selectionLabel: "Landbridge", docsPath: "/", blurb: "" },
    capabilities: { chatTypes: ["direct"] },
    config: {
      listAccountIds: () => ["default"],
      defaultAccountId: () => "default",
      resolveAccount: () => ({ accountId: "default", enabled: true }),
      isConfigured: () => true,
    },
    approvalCapability: { getActionAvailabilityState: () => ({ kind: "enabled" }) },
  };
}

// Where an agent's commands run when the call does not say.
function hostOf(config, agent) {
  return config.agents?.entries?.[agent]?.tools?.exec?.host ?? config.tools?.exec?.host;
}

// A command without a folder runs in the agent's workspace: said aloud, so that it can be approved. A node
// has folders of its own.
function withFolder(params, workspace, host) {
  const given = typeof params.workdir === "string" && params.workdir !== "" ? params.workdir : ".";
  if ((params.host ?? host) === "node" || given.startsWith("~")) return params;
  return { ...params, workdir: path.resolve(workspace, given) };
}

function digest(text) {
  return createHash("sha256").update(text).digest("hex");
}

// The gateway rewrites other characters for display, and refuses what then is too long.
function ascii(text, chars) {
  const plain = text.replace(/[^\x20-\x7e]/g, "?");
  return plain.length > chars ? `${plain.slice(0, chars - 3)}...` : plain;
}
