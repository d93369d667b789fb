/** One job on the page: sent, watched, cancelled, sent round again. */

import { isFinal } from './client.js';
import { OutputText } from './stream.js';
import { TurnView } from './view.js';

const SHOWN = ['status', 'attempt', 'seq', 'epoch', 'progress', 'result', 'error', 'error_info'];

/**
 * `page` hears `changed(turn)` when the job is another than before, `settled(turn)` when its request was
 * answered or given up, `ended(turn)` once it is over while being watched, and `focusLost()` when the
 * button under the reader's hands is gone.
 */
export class Turn {
  #client;
  #page;
  #view;
  #watcher = null;
  #sending = null;
  #output = new OutputText('answer');

  /** `job` is a job resource, or the beginning of one: `{type, params, created_at}` and no `job_id`. */
  constructor(client, page, job, request = null) {
    this.#client = client;
    this.#page = page;
    this.job = { status: 'sending', attempt: 0, ...job };
    this.request = request;
    this.#view = new TurnView(this.job, {
      cancel: () => this.cancel(),
      retry: () => this.retry(),
      focusLost: () => page.focusLost(),
    });
    this.#view.render(this.job, '');
  }

  get element() {
    return this.#view.element;
  }

  get live() {
    return !isFinal(this.job.status);
  }

  /** Sends the request until the server has it, then watches. */
  async submit() {
    const { path, body, key } = this.request;
    this.#sending = new AbortController();
    this.#update({ status: 'sending', error: null });
    try {
      const accepted = await this.#client.post(path, body, { key, signal: this.#sending.signal });
      this.#update(accepted);
      this.watch();
    } catch (error) {
      this.#update(this.#sending.signal.aborted ? { status: 'cancelled' } : refused(error));
    } finally {
      this.#sending = null;
      this.#page.settled(this);
    }
  }

  /** Follows the job from where it is known to its end. */
  watch() {
    const { epoch = null, seq = 0 } = this.job;
    this.#watcher?.stop();
    this.#watcher = this.#client.watch(
      this.job.job_id,
      {
        job: (event) => this.#follow(event),
        output: (chunk) => this.#output.add(chunk) && this.#view.renderSoon(this.job, this.#output.text),
        failed: (error) => this.#update(refused(error)),
      },
      { epoch, seq },
    );
  }

  async cancel() {
    if (!this.live) return;
    this.#view.cancelling();
    if (this.#sending) this.#sending.abort();
    else await this.#act('cancel');
  }

  async retry() {
    if (!this.job.job_id) return this.submit();
    this.#update({ status: 'queued', progress: null, error: null, error_info: null });
    this.#page.focusLost();
    return (await this.#act('retry')) && this.watch();
  }

  /** Stops following; the job itself goes on. */
  leave() {
    this.#watcher?.stop();
  }

  /** Asks for a change; if the job is beyond it, shows what the job is instead. */
  async #act(verb) {
    const path = `jobs/${encodeURIComponent(this.job.job_id)}`;
    try {
      await this.#client.post(`${path}/${verb}`);
      return true;
    } catch (error) {
      const job = await this.#client.get(path).catch(() => refused(error));
      this.#update(job);
      return this.live;
    }
  }

  #follow(event) {
    if (event.attempt > this.#output.attempt) this.#output.reset(event.attempt);
    const changes = SHOWN.map((name) => [name, event[name] ?? null]);
    const ending = event.final ? { finished_at: event.finished_at ?? event.ts } : {};
    this.#update({ ...Object.fromEntries(changes), ...ending });
    if (event.final) this.#page.ended(this);
  }

  #update(changes) {
    Object.assign(this.job, changes);
    this.#view.render(this.job, this.#output.text);
    this.#page.changed(this);
  }
}

const refused = (error) => ({ status: 'failed', error: error.message, error_info: null });
