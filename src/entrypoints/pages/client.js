/** Talks to Encola: REST calls that may be repeated safely, and jobs watched over a stream that resumes. */

import { readEvents } from './stream.js';

const FIRST_DELAY = 500;
const MAX_DELAY = 10_000;
const CALL_TIMEOUT = 15_000;
/** The server says something every 15 s; a stream this quiet is dead. */
const SILENCE = 40_000;
/** The server ends the stream after the event that ends the job; this is how long we wait for it. */
const GRACE = 1_000;
/** A page that was asleep trusts a stream no longer than this. */
const STALE = 20_000;
/** A connection that lasted this long was a good one: the next retry is quick again. */
const STEADY = 5_000;
/** Browsers allow six connections per host over HTTP/1.1; some must be left for calls. */
const MAX_STREAMS = 4;

const TERMINAL = new Set(['completed', 'failed', 'cancelled', 'expired']);
const PASSING = new Set([429, 502, 503, 504]);

export const isFinal = (status) => TERMINAL.has(status);

/** What the server answered instead of what was asked for. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.retryable = PASSING.has(status);
  }
}

/** The API of one tenant. `onConnection(source, up)` hears which calls and streams wait for the server. */
export class EncolaClient {
  #base;
  #tenant;
  #onConnection;

  constructor(base, tenant, onConnection = () => {}) {
    this.#base = base;
    this.#tenant = tenant;
    this.#onConnection = onConnection;
  }

  /** Returns the JSON at `path`, however long the server takes to come back. */
  get(path, signal) {
    return this.#persist(() => this.#call('GET', path, { signal }), signal);
  }

  /** Posts until the server has answered; `key` makes a repetition harmless. */
  post(path, body, { key, signal } = {}) {
    const headers = key ? { 'Idempotency-Key': key } : {};
    return this.#persist(() => this.#call('POST', path, { body, headers, signal }), signal);
  }

  /** Watches a job to its end: see `JobWatcher`. */
  watch(jobId, listener, position) {
    return new JobWatcher(this, jobId, listener, position);
  }

  /** Opens a response without reading it; throws an `ApiError` unless it is a success. */
  async open(method, path, { headers = {}, body, signal } = {}) {
    const response = await fetch(new URL(path, this.#base), {
      method,
      signal,
      cache: 'no-store',
      headers: { 'X-Tenant-ID': this.#tenant, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!response.ok) throw await refusal(response);
    return response;
  }

  /** Notes that `source` lost the server, or has it back. */
  connection(source, up) {
    this.#onConnection(source, up);
  }

  async #call(method, path, { headers, body, signal }) {
    const content = body === undefined ? {} : { 'Content-Type': 'application/json' };
    const deadline = AbortSignal.timeout(CALL_TIMEOUT);
    const signals = signal ? AbortSignal.any([signal, deadline]) : deadline;
    const response = await this.open(method, path, { headers: { ...content, ...headers }, body, signal: signals });
    return response.json();
  }

  async #persist(attempt, signal) {
    try {
      for (let failures = 0; ; failures += 1) {
        try {
          return await attempt();
        } catch (error) {
          if (signal?.aborted || isLasting(error)) throw error;
        }
        this.connection(attempt, false);
        await pause(backoff(failures), signal);
      }
    } finally {
      this.connection(attempt, true);
    }
  }
}

/**
 * Follows one job over server-sent events until it ends, across any number of lost connections.
 *
 * The listener's methods, all optional: `job(event)` for each new state, once and in order; `output(chunk)`
 * for partial output; `failed(error)` when the server refuses and asking again would not help.
 */
export class JobWatcher {
  #client;
  #path;
  #listener;
  #position;
  #stop = new AbortController();
  #ended = false;
  #connectedAt = Infinity;

  constructor(client, jobId, listener, position = { epoch: null, seq: 0 }) {
    this.#client = client;
    this.#path = `jobs/${encodeURIComponent(jobId)}`;
    this.#listener = listener;
    this.#position = { ...position };
    this.#run();
  }

  stop() {
    this.#stop.abort();
  }

  async #run() {
    const release = await streams.enter();
    try {
      for (let failures = 0; !this.#over; failures += 1) {
        this.#connectedAt = Infinity;
        await this.#follow().catch((error) => this.#giveUpOn(error));
        if (this.#over) return;
        this.#client.connection(this, false);
        if (Date.now() - this.#connectedAt > STEADY) failures = 0;
        await pause(backoff(failures), this.#stop.signal);
      }
    } finally {
      release();
      this.#client.connection(this, true);
    }
  }

  get #over() {
    return this.#ended || this.#stop.signal.aborted;
  }

  #giveUpOn(error) {
    if (this.#over || !isLasting(error)) return;
    this.#ended = true;
    this.#tell('failed', error);
  }

  async #follow() {
    const watchdog = new Watchdog();
    const signal = AbortSignal.any([this.#stop.signal, watchdog.signal]);
    try {
      const headers = this.#resume();
      const response = await this.#client.open('GET', `${this.#path}/events`, { headers, signal });
      this.#connectedAt = Date.now();
      this.#client.connection(this, true);
      if (response.status === 204) return await this.#readOnce(signal);
      await this.#drain(response.body, watchdog);
    } finally {
      watchdog.end();
    }
  }

  #resume() {
    const { epoch, seq } = this.#position;
    const accept = { Accept: 'text/event-stream' };
    return epoch === null ? accept : { ...accept, 'Last-Event-ID': `${epoch}:${seq}` };
  }

  async #drain(body, watchdog) {
    for await (const { type, data } of readEvents(body, () => watchdog.feed())) {
      if (type === 'output') this.#tell('output', JSON.parse(data));
      else this.#take(JSON.parse(data));
      // A job that was sent round again has an end in its past: only the last event counts.
      if (this.#ended) watchdog.feed(GRACE);
      if (this.#stop.signal.aborted) return;
    }
  }

  #take(event) {
    const { epoch, seq } = this.#position;
    if (event.epoch === epoch && event.seq <= seq) return;
    this.#position = { epoch: event.epoch, seq: event.seq };
    this.#ended = event.final;
    this.#tell('job', event);
  }

  /** The server has nothing more to stream: whatever the job is now is what there is to know. */
  async #readOnce(signal) {
    const response = await this.#client.open('GET', this.#path, { signal });
    const job = await response.json();
    this.#ended = isFinal(job.status);
    this.#tell('job', { ...job, final: this.#ended, ts: job.updated_at });
  }

  #tell(name, value) {
    try {
      this.#listener[name]?.(value);
    } catch (error) {
      // A listener's mistake is its own: the stream goes on.
      reportError(error);
    }
  }
}

/** Aborts its signal when nobody has fed it for too long, also across a sleep of the page. */
class Watchdog {
  #cut = new AbortController();
  #done = new AbortController();
  #timer;
  #fedAt;

  constructor() {
    this.feed();
    onWake(() => Date.now() - this.#fedAt > STALE && this.#cut.abort(), this.#done.signal);
  }

  get signal() {
    return this.#cut.signal;
  }

  feed(patience = SILENCE) {
    this.#fedAt = Date.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#cut.abort(), patience);
  }

  end() {
    clearTimeout(this.#timer);
    this.#done.abort();
    this.#cut.abort();
  }
}

/** Lets a bounded number in at a time; the others wait in line. */
class Gate {
  #free;
  #line = [];

  constructor(places) {
    this.#free = places;
  }

  async enter() {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise((admit) => this.#line.push(admit));
    return () => this.#leave();
  }

  #leave() {
    const next = this.#line.shift();
    if (next) next();
    else this.#free += 1;
  }
}

const streams = new Gate(MAX_STREAMS);

/** A name for one request, so that sending it again does not do it again. */
export function requestKey() {
  // randomUUID exists only in secure contexts; plain HTTP in a home network is not one.
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const isLasting = (error) => error instanceof ApiError && !error.retryable;

/** Full jitter: many pages that lost one server do not come back at one instant. */
const backoff = (failures) => Math.random() * Math.min(MAX_DELAY, FIRST_DELAY * 2 ** failures);

/** Waits; the network or the page coming back ends the wait at once, and so does the signal. */
function pause(delay, signal) {
  return new Promise((resolve) => {
    const done = new AbortController();
    const end = () => {
      clearTimeout(timer);
      done.abort();
      resolve();
    };
    const timer = setTimeout(end, delay);
    onWake(end, done.signal);
    signal?.addEventListener('abort', end, { signal: done.signal });
    if (signal?.aborted) end();
  });
}

function onWake(wake, signal) {
  const seen = () => document.visibilityState === 'visible' && wake();
  window.addEventListener('online', wake, { signal });
  window.addEventListener('pageshow', seen, { signal });
  document.addEventListener('visibilitychange', seen, { signal });
}

/** Reads why the server refused; a proxy's HTML error page is no reason to fall over. */
async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const text = problem?.message ?? problem?.detail ?? problem?.title;
  return new ApiError(response.status, typeof text === 'string' ? text : `El servidor respondió ${response.status}.`);
}
