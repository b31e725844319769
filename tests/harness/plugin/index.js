// Tools for tests: each execution appends one line to the tally, so that a test can count them.
import { appendFileSync } from "node:fs";
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";

const words = {
  type: "object",
  additionalProperties: false,
  required: ["marker"],
  properties: { marker: { type: "string" }, ms: { type: "integer", minimum: 0 } },
};

export default definePluginEntry({
  id: "landbridge-test-tools",
  name: "Landbridge test tools",
  description: "Tools that write down each of their executions.",
  register(api) {
    const tally = api.pluginConfig.tally;
    const note = (what, tool, args, context) =>
      appendFileSync(tally, JSON.stringify({ what, tool, args, session: context.sessionKey }) + "\n");
    const add = (name, execute) =>
      api.registerTool(
        (context) => ({
          name,
          label: name,
          description: `Test tool ${name}.`,
          parameters: words,
          async execute(id, args) {
            note("begun", name, args, context);
            const text = await execute(args, id);
            note("ended", name, args, context);
            return { content: [{ type: "text", text }], details: { id } };
          },
        }),
        { name },
      );
    const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    add("tally_add", async ({ marker }) => `added ${marker}`);
    add("tally_slow", async ({ marker, ms }) => {
      await wait(ms ?? 1000);
      return `slowly added ${marker}`;
    });
    add("tally_fail", async ({ marker, ms }) => {
      await wait(ms ?? 0);
      throw new Error(`a reason that holds a secret: ${marker}`);
    });
    add("tally_picky", async ({ marker }) => {
      const error = new Error(`marker must not be ${marker}`);
      error.name = "ToolInputError";
      throw error;
    });
    add("sessions_tally", async () => "every session");
  },
});
