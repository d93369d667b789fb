/** How one job looks: the question, what is happening, the answer and where it comes from. */

import { isFinal } from './client.js';
import { count, duration, renderAnswer } from './text.js';

const STATUS = {
  sending: 'Enviando',
  scheduled: 'Programado',
  queued: 'En cola',
  processing: 'Procesando',
  retrying: 'Reintentando',
  completed: 'Completado',
  failed: 'Falló',
  cancelled: 'Cancelado',
  expired: 'Caducado',
};

const REASONS = {
  worker_lost: 'El proceso que lo ejecutaba murió y no quedan intentos.',
  timeout: 'Tardó más de lo permitido.',
  result_too_large: 'El resultado es demasiado grande.',
  expired: 'Esperó más tiempo del que valía la pena.',
  cancelled: 'Se canceló antes de terminar.',
};

export const statusName = (status) => STATUS[status] ?? status;

/** Returns what a job was asked to do, in one line. */
export function titleOf({ type, params }) {
  if (type !== 'embedding') return params?.input_text ?? '';
  const documents = params?.documents ?? [];
  return documents.length === 1 ? `Añadir «${documents[0].title}»` : `Añadir ${count(documents.length, 'documento')}`;
}

/** Returns the sentence that a screen reader says when the status changes. */
export function spoken({ status, type, result, error, error_info }) {
  if (status === 'failed') return `Falló: ${reason({ error, error_info })}`;
  if (status !== 'completed') return statusName(status);
  if (type === 'embedding') return 'Documentos listos.';
  return `Respuesta lista, ${count(result?.sources?.length ?? 0, 'fuente')}.`;
}

const reason = ({ error, error_info }) => REASONS[error_info?.code] ?? error ?? 'Error desconocido';

const COLLECTIONS = { docs: 'Documentación de Encola' };

const about = ({ type, params }) =>
  [type === 'embedding' ? null : params?.agent_id, COLLECTIONS[params?.collection_id] ?? params?.collection_id]
    .filter(Boolean)
    .join(' · ');

/** The elements of one job; `actions` are what its buttons do. */
export class TurnView {
  #part;
  #actions;
  #frame = 0;
  #sourcesOf = null;

  constructor(job, actions) {
    this.element = fill('turn-template');
    this.#part = (name) => this.element.querySelector(`.${name}`);
    this.#actions = actions;
    this.#part('question').textContent = titleOf(job);
    this.#part('about').textContent = about(job);
    this.#part('cancel').addEventListener('click', () => actions.cancel());
    this.#part('retry').addEventListener('click', () => actions.retry());
    this.#part('answer').addEventListener('click', ({ target }) => this.#openSource(target.dataset.source));
  }

  /** Shows the job as it is; `partial` is the output so far. */
  render(job, partial) {
    cancelAnimationFrame(this.#frame);
    const final = isFinal(job.status);
    this.element.dataset.status = job.status;
    this.element.setAttribute('aria-busy', String(!final));
    this.#part('status').textContent = statusName(job.status);
    this.#part('detail').textContent = detail(job);
    this.#renderProgress(job.progress, final);
    this.#renderAnswer(job, partial);
    this.#part('error').textContent = final && job.status !== 'completed' ? reason(job) : '';
    this.#renderButtons(job.status, final);
  }

  /** As `render`, at most once a frame: pieces of output may come faster than they can be painted. */
  renderSoon(job, partial) {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#renderAnswer(job, partial));
  }

  cancelling() {
    this.#part('cancel').setAttribute('aria-disabled', 'true');
    this.#part('detail').textContent = 'Cancelando…';
  }

  #renderProgress(progress, final) {
    const bar = this.element.querySelector('progress');
    bar.hidden = final;
    if (Number.isFinite(progress?.percent)) bar.value = progress.percent;
    else bar.removeAttribute('value');
  }

  #renderAnswer(job, partial) {
    const sources = job.status === 'completed' ? (job.result?.sources ?? []) : [];
    const known = new Set(sources.map((source) => source.n));
    const text = job.status === 'completed' ? answerOf(job) : partial;
    this.#part('answer').replaceChildren(renderAnswer(text, (number) => known.has(number)));
    this.#renderSources(sources);
  }

  #renderSources(sources) {
    // Drawn once a result: drawing again would close what the reader has opened.
    if (sources === this.#sourcesOf) return;
    this.#sourcesOf = sources;
    this.#part('sources').hidden = sources.length === 0;
    this.#part('sources').querySelector('ol').replaceChildren(...sources.map(renderSource));
  }

  #renderButtons(status, final) {
    const again = final && status !== 'completed';
    const focused = document.activeElement;
    const lost = (focused === this.#part('cancel') && final) || (focused === this.#part('retry') && !again);
    this.#part('cancel').hidden = final;
    this.#part('retry').hidden = !again;
    if (final) this.#part('cancel').removeAttribute('aria-disabled');
    if (lost) this.#actions.focusLost();
  }

  #openSource(number) {
    const details = number && this.element.querySelector(`[data-n="${number}"] details`);
    if (!details) return;
    details.open = true;
    details.querySelector('summary').focus();
  }
}

/** Returns the content of a template, its one element. */
export function fill(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

function renderSource({ n, title, source, excerpt }) {
  const item = fill('source-template');
  item.dataset.n = n;
  item.querySelector('.number').textContent = n;
  item.querySelector('.title').textContent = title || source;
  item.querySelector('.place').textContent = title === source ? '' : (source ?? '');
  item.querySelector('blockquote').replaceChildren(renderAnswer(excerpt ?? ''));
  return item;
}

function answerOf({ type, result }) {
  if (type === 'embedding') {
    const { documents = 0, chunks = 0, collection_id } = result ?? {};
    return `${count(documents, 'documento')} en **${collection_id}**, ${count(chunks, 'fragmento')}. Ya puedes preguntar.`;
  }
  return typeof result?.answer === 'string' ? result.answer : JSON.stringify(result ?? null, null, 2);
}

function detail({ status, attempt, progress, created_at, finished_at }) {
  if (status === 'completed') return `en ${duration(created_at, finished_at)}`;
  if (isFinal(status)) return '';
  const tries = attempt > 1 ? `intento ${attempt}` : '';
  const percent = Number.isFinite(progress?.percent) ? `${progress.percent} %` : '';
  return [tries, progress?.message, percent].filter(Boolean).join(' · ');
}
