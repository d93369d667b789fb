/** The list of past questions, newest first, a page at a time. */

import { ago } from './text.js';
import { fill, statusName, titleOf } from './view.js';

const PAGE = 20;
const MINUTE = 60_000;

/** `open(job)` is called with the job that was picked. */
export class History {
  #client;
  #open;
  #items = new Map();
  #cursor = null;
  #list = document.getElementById('history-list');
  #empty = document.getElementById('history-empty');
  #more = document.getElementById('more');

  constructor(client, open) {
    this.#client = client;
    this.#open = open;
    this.#more.addEventListener('click', () => this.#next());
    setInterval(() => this.#tick(), MINUTE);
  }

  /** Shows the newest page and returns its jobs. */
  load() {
    return this.#page(null);
  }

  /** Puts a job on top, or shows how it is now. */
  note(job) {
    if (job.type !== 'agent_execution' || !job.job_id) return;
    if (!this.#items.has(job.job_id)) this.#list.prepend(this.#add(job));
    this.#show(job);
    this.#empty.hidden = true;
  }

  async #next() {
    const before = this.#list.children.length;
    await this.#page(this.#cursor);
    this.#list.children[before]?.querySelector('button').focus();
  }

  async #page(cursor) {
    const query = new URLSearchParams({ type: 'agent_execution', limit: PAGE, ...(cursor && { cursor }) });
    this.#more.disabled = true;
    try {
      const { jobs, next_cursor } = await this.#client.get(`jobs?${query}`);
      for (const job of jobs) this.#append(job);
      this.#cursor = next_cursor;
      this.#more.textContent = 'Más';
      this.#more.hidden = !next_cursor;
      this.#empty.hidden = this.#items.size > 0;
      return jobs;
    } catch (error) {
      this.#refuse(error);
      return [];
    } finally {
      this.#more.disabled = false;
    }
  }

  #refuse(error) {
    this.#empty.textContent = `No se pudo leer el historial: ${error.message}`;
    this.#empty.hidden = false;
    this.#more.textContent = 'Reintentar';
    this.#more.hidden = false;
  }

  #append(job) {
    if (!this.#items.has(job.job_id)) this.#list.append(this.#add(job));
    this.#show(job);
  }

  #add(job) {
    const element = fill('history-template');
    element.querySelector('.past-question').textContent = titleOf(job);
    element.querySelector('time').dateTime = job.created_at;
    element.querySelector('time').title = new Date(job.created_at).toLocaleString('es');
    element.querySelector('button').addEventListener('click', () => this.#open(this.#items.get(job.job_id).job));
    this.#items.set(job.job_id, { element, job });
    return element;
  }

  #show(job) {
    const item = this.#items.get(job.job_id);
    item.job = job;
    item.element.dataset.status = job.status;
    item.element.querySelector('.past-status').textContent = statusName(job.status);
    item.element.querySelector('time').textContent = ago(job.created_at);
  }

  #tick() {
    for (const { element, job } of this.#items.values()) element.querySelector('time').textContent = ago(job.created_at);
  }
}
