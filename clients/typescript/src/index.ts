/** A client of Landbridge's local API, and a verifier of what it exports. Runs in Node and in browsers. */

export type { CallTool, CallerIdentity, Filters, RouteView as Route, RunView as Run, StartRun as Start } from './api.js';
export { Client, Cut, Problem, type Frame, type Options } from './client.js';
export { verify, type Verdict } from './verify.js';
