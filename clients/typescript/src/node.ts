/** What only Node can: a bridge's unix socket. */

import { request } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { Client, type Options } from './client.js';

/** The socket of this user's bridge. */
export const defaultSocket = (): string =>
  join(process.env.LANDBRIDGE_HOME || join(homedir(), '.landbridge'), 'landbridge.sock');

/** A `fetch` that speaks to a unix socket: as much of it as the client uses. */
export const socketFetch =
  (socketPath: string): typeof fetch =>
  (input, init = {}) =>
    new Promise((resolve, reject) => {
      const url = new URL(input instanceof Request ? input.url : input);
      const body = typeof init.body === 'string' ? init.body : undefined;
      const asked = request(
        {
          socketPath,
          path: url.pathname + url.search,
          method: init.method ?? 'GET',
          headers: { ...Object.fromEntries(new Headers(init.headers)), Host: 'landbridge' },
          agent: false,
          ...(init.signal ? { signal: init.signal } : {}),
        },
        (answer) => {
          const headers = new Headers();
          for (const [name, value] of Object.entries(answer.headers)) headers.set(name, String(value));
          const status = answer.statusCode ?? 500;
          const stream = Readable.toWeb(answer) as ReadableStream<Uint8Array>;
          resolve(new Response([204, 304].includes(status) ? null : stream, { status, headers }));
        },
      );
      asked.on('error', reject);
      asked.end(body);
    });

/** A client of the bridge behind a unix socket, by default that of this user. */
export function connect(socketPath = defaultSocket(), options: Omit<Options, 'url' | 'fetch'> = {}): Client {
  return new Client({ ...options, url: 'http://landbridge', fetch: socketFetch(socketPath) });
}
