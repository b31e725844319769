/** A client of Landbridge's local API, and a verifier of what it exports. Runs in Node and in browsers. */

export { Client, Cut, Problem, type Filters, type Frame, type Options, type Run, type Start } from './client.js';
export { verify, type Verdict } from './verify.js';
