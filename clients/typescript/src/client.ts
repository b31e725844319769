/** A client of one bridge's local API: start, stream, cancel, list, wait, export. */

import type { CancelView, Filters, Frame as FrameView, ProblemView, RouteView, RunList, RunView, StartRun } from './api.js';

const [PAUSE_MS, PAUSE_MS_MAX] = [200, 5_000];
const LINE_CHARS_MAX = 1_048_576;

/** One event of a run. `line` is the line exactly as it was sealed; its bytes can be hashed. */
export interface Frame extends FrameView {
  line: string;
}

/** A refusal of the bridge; `code` says what happened. */
export class Problem extends Error {
  readonly code: string;
  readonly detail: string | undefined;
  readonly retryable: boolean;
  readonly retryMode: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly status: number,
    readonly body: Partial<ProblemView>,
  ) {
    const text = (name: keyof ProblemView): string | undefined => (typeof body[name] === 'string' ? body[name] : undefined);
    super([text('code') ?? 'unknown', text('detail')].filter(Boolean).join(': '));
    this.name = 'Problem';
    this.code = text('code') ?? 'unknown';
    this.detail = text('detail');
    this.retryable = body.retryable === true;
    this.retryMode = text('retryMode');
    this.retryAfterMs = typeof body.retryAfterMs === 'number' ? body.retryAfterMs : undefined;
  }

  /** Reads a problem; what is none becomes one with the code `unknown`. */
  static read(status: number, text: string): Problem {
    try {
      const body: unknown = JSON.parse(text);
      if (body !== null && typeof body === 'object') return new Problem(status, { ...body });
    } catch {
      // Not JSON: a proxy, or no bridge at all.
    }
    return new Problem(status, {});
  }
}

/** The connection ended early, or what came is not a bridge's answer. Nothing is known: ask again. */
export class Cut extends Error {
  override name = 'Cut';
}

export interface Options {
  /** Where the bridge is; `http://landbridge` for a socket. */
  url: string;
  token?: string;
  /** Another `fetch`, such as `socketFetch` of `landbridge/node`. */
  fetch?: typeof fetch;
  /** How long a stream is asked for in vain before the last error is thrown; each frame begins the time anew. */
  giveUpAfterMs?: number;
  /** How long a silence is a dead connection: the bridge sends a comment every 15 seconds. */
  silenceMs?: number;
}

export class Client {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #fetch: typeof fetch;
  readonly #giveUpAfterMs: number;
  readonly #silenceMs: number;

  constructor({ url, token, fetch: other, giveUpAfterMs = 60_000, silenceMs = 45_000 }: Options) {
    this.#url = url.replace(/\/$/, '');
    this.#headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    this.#fetch = other ?? ((input, init) => fetch(input, init));
    this.#giveUpAfterMs = giveUpAfterMs;
    this.#silenceMs = silenceMs;
  }

  /** Starts a run, or finds the one that its key started. Repeat it with the same request when the answer is unknown. */
  start(request: StartRun, signal?: AbortSignal): Promise<RunView> {
    return this.#json(isRun, 'POST', '/v1/runs', request, signal);
  }

  /** The run as it is now. */
  show(run: string, signal?: AbortSignal): Promise<RunView> {
    return this.#json(isRun, 'GET', at(run), undefined, signal);
  }

  /** Asks for the end of a run: `requested`, or `alreadyTerminal`. */
  async cancel(run: string, signal?: AbortSignal): Promise<string> {
    const fits = ({ state }: Partial<CancelView>): boolean => typeof state === 'string';
    return (await this.#json<CancelView>(fits, 'POST', `${at(run)}/cancel`, undefined, signal)).state;
  }

  /** What may be reached, and how it does. */
  gateways(signal?: AbortSignal): Promise<RouteView[]> {
    return this.#json(Array.isArray, 'GET', '/v1/gateways', undefined, signal);
  }

  /** Runs that fit, the newest first, over as many pages as there are. */
  async *list(filters: Filters = {}, signal?: AbortSignal): AsyncGenerator<RunView, void, undefined> {
    const { labels = {}, ...plain } = filters;
    const query = Object.entries(plain).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
    for (const [name, value] of Object.entries(labels)) query.push(['label', `${name}=${value}`]);
    const fits = ({ runs }: Partial<RunList>): boolean => Array.isArray(runs);
    for (let cursor: string | null = ''; cursor !== null; ) {
      const all: URLSearchParams = new URLSearchParams(cursor === '' ? query : [...query, ['cursor', cursor]]);
      const page: RunList = await this.#json<RunList>(fits, 'GET', `/v1/runs?${all}`, undefined, signal);
      yield* page.runs;
      cursor = page.next;
    }
  }

  /** The run's transcript, for `verify`. */
  async export(run: string, signal?: AbortSignal): Promise<string> {
    const response = await this.#send('GET', `${at(run)}/transcript`, 'application/jsonl', undefined, signal);
    return cutWhenBroken(response.text(), signal);
  }

  /** Waits until the run is settled. An aborted `signal` ends the waiting, not the run. */
  async wait(run: string, signal?: AbortSignal): Promise<RunView> {
    for (let pause = PAUSE_MS / 4; ; pause = Math.min(pause * 2, PAUSE_MS_MAX)) {
      const shown = await this.show(run, signal);
      if (shown.ended !== null) return shown;
      for await (const _ of this.stream(run, shown.frames, signal));
      // The terminal is told a moment before the run is settled.
      await sleep(pause, signal);
    }
  }

  /**
   * The run's frames behind `after`, each once and in order, until the terminal.
   *
   * A connection that breaks is replaced, and the stream goes on behind the last frame. Keep `frame.seq` where it
   * survives you, and go on from there.
   */
  async *stream(run: string, after = 0, signal?: AbortSignal): AsyncGenerator<Frame, void, undefined> {
    for (let [waited, pause] = [0, PAUSE_MS]; ; ) {
      let why: unknown;
      try {
        for await (const frame of this.#connection(run, after, signal)) {
          [after, waited, pause] = [frame.seq, 0, PAUSE_MS];
          yield frame;
          if (frame.event === 'terminal') return;
        }
        why = new Cut('the stream ended without a terminal');
      } catch (fault) {
        // Also while the bridge is being restarted: nothing is known, so ask again from the cursor.
        const again = fault instanceof Cut || (fault instanceof Problem && fault.retryable);
        if (!again || signal?.aborted) throw fault;
        why = fault;
        if (fault instanceof Problem) pause = Math.max(pause, fault.retryAfterMs ?? 0);
      }
      if (waited >= this.#giveUpAfterMs) throw why;
      await sleep(pause, signal);
      [waited, pause] = [waited + pause, Math.min(pause * 2, PAUSE_MS_MAX)];
    }
  }

  /** The frames of one connection, to its end. */
  async *#connection(run: string, after: number, signal?: AbortSignal): AsyncGenerator<Frame, void, undefined> {
    const silence = new AbortController();
    const arm = () => setTimeout(() => silence.abort(new Cut('nothing was heard for too long')), this.#silenceMs);
    let timer = arm();
    const either = signal === undefined ? silence.signal : anyOf(signal, silence);
    try {
      const response = await this.#send('GET', `${at(run)}/frames?after=${after}`, 'text/event-stream', undefined, either);
      for await (const [name, data] of events(response, either, () => {
        clearTimeout(timer);
        timer = arm();
      })) {
        if (name === 'problem') throw Problem.read(0, data);
        const frame = readFrame(data);
        if (frame.seq !== after + 1) throw new Cut(`frame ${frame.seq} came after frame ${after}`);
        after = frame.seq;
        yield frame;
      }
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  /** One request with a JSON answer, which has to be what was asked for. */
  async #json<T>(
    fits: (told: Partial<T>) => boolean,
    method: string,
    path: string,
    body: unknown,
    signal?: AbortSignal,
  ): Promise<T> {
    const response = await this.#send(method, path, 'application/json', body, signal);
    const text = await cutWhenBroken(response.text(), signal);
    try {
      const told = JSON.parse(text) as T;
      if (fits(told ?? {})) return told;
    } catch {
      // Said below.
    }
    throw new Cut('the answer is not what was asked for');
  }

  async #send(method: string, path: string, accept: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { ...this.#headers, Accept: accept };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const asked = this.#fetch(this.#url + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
      redirect: 'error',
    });
    const response = await cutWhenBroken(asked, signal);
    const media = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
    if (response.ok && media === accept) return response;
    if (media === 'application/problem+json' && !response.ok)
      throw Problem.read(response.status, await cutWhenBroken(response.text(), signal));
    await response.body?.cancel().catch(() => undefined);
    if (!response.ok) throw new Problem(response.status, {});
    throw new Cut(`the answer is ${media ?? 'of no type'}, not ${accept}`);
  }
}

const isRun = ({ run }: Partial<RunView>): boolean => typeof run === 'string';
const at = (run: string): string => `/v1/runs/${encodeURIComponent(run)}`;

function readFrame(line: string): Frame {
  try {
    const { seq, event, payload } = JSON.parse(line) as Frame;
    const isObject = typeof payload === 'object' && payload !== null && !Array.isArray(payload);
    if (typeof seq === 'number' && typeof event === 'string' && isObject) return { seq, event, payload, line };
  } catch {
    // Said below.
  }
  throw new Cut('not a frame');
}

/** The events of one connection, by name and data, to its end. */
async function* events(response: Response, signal: AbortSignal, heard: () => void): AsyncGenerator<[string, string]> {
  const reader = response.body?.getReader();
  if (reader === undefined) throw new Cut('an answer without a body');
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let [rest, name] = ['', ''];
  let data: string[] = [];
  try {
    for (;;) {
      const piece = await cutWhenBroken(reader.read(), signal);
      if (piece.done) return;
      heard();
      const lines = (rest + decoder.decode(piece.value, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > LINE_CHARS_MAX) throw new Cut('a line of the stream is too long');
      for (const line of lines) {
        const [, field, value = ''] = /^([^:\r]*)(?:: ?)?(.*?)\r?$/s.exec(line) ?? [];
        if (field === 'event') name = value;
        else if (field === 'data') data.push(value);
        else if (line === '' || line === '\r') {
          if (data.length > 0) yield [name, data.join('\n')];
          [name, data] = ['', []];
        }
      }
    }
  } finally {
    // A reader that failed cannot be cancelled, and need not be.
    await reader.cancel().catch(() => undefined);
  }
}

/** A failure of the connection as a `Cut`, or what the signal was aborted with. */
async function cutWhenBroken<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await work;
  } catch (fault) {
    if (signal?.aborted) throw signal.reason;
    throw new Cut(fault instanceof Error ? fault.message : String(fault), { cause: fault });
  }
}

/** The controller's signal, aborted with the other one too; `AbortSignal.any` is younger than Node 20.0. */
function anyOf(signal: AbortSignal, controller: AbortController): AbortSignal {
  if (signal.aborted) controller.abort(signal.reason);
  signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true, signal: controller.signal });
  return controller.signal;
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop, { once: true });
  });
}
