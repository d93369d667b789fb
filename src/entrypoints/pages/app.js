/** The page: asks, shows what becomes of it, and remembers across reloads what it was watching. */

import { EncolaClient, isFinal, requestKey } from './client.js';
import { DocumentsForm } from './documents.js';
import { History } from './history.js';
import { Turn } from './turn.js';
import { spoken } from './view.js';

const AGENT_JOB = 'agent_execution';
const EMBEDDING_JOB = 'embedding';
const MAX_TURNS = 40;
/** How many jobs that already run somewhere are picked up when the page opens. */
const MAX_PICKED_UP = 3;
const MAX_PAGES = 10;
/** A request is repeated after a reload only while the server surely knows its key. */
const KEY_LIFE = 12 * 3_600_000;

const $ = (id) => document.getElementById(id);
const tenant = new URLSearchParams(location.search).get('tenant') || 'default';
const memory = `encola:${tenant}`;

const waiting = new Set();
const client = new EncolaClient(new URL('api/', document.baseURI), tenant, (source, up) => {
  if (up) waiting.delete(source);
  else waiting.add(source);
  const text = waiting.size > 0 ? 'Conexión perdida, reintentando…' : '';
  if ($('connection').textContent !== text) $('connection').textContent = text;
});

/** The turns on the page, oldest first. */
let turns = [];
const history = new History(client, reveal);

const page = {
  changed(turn) {
    announce(turn);
    history.note(turn.job);
    keepAtEnd();
  },
  settled(turn) {
    // The job's own id has taken over from the request, or nothing came of it.
    turn.request = turn.job.job_id ? null : turn.request;
    remember();
  },
  ended(turn) {
    if (turn.job.type === EMBEDDING_JOB && turn.job.status === 'completed') {
      offer(turn.job.result.collection_id);
      $('collection').value = turn.job.result.collection_id;
    }
  },
  focusLost: () => $('question').focus(),
};

function ask(question) {
  const agent = $('agent').value.trim();
  const params = {
    agent_id: agent,
    input_text: question,
    collection_id: $('collection').value,
    use_auto_federation: $('federation').checked,
  };
  const { collection_id, use_auto_federation } = params;
  send(`jobs/agent/${encodeURIComponent(agent)}/execute`, { input: question, collection_id, use_auto_federation }, {
    type: AGENT_JOB,
    params,
  });
}

function addDocuments(params) {
  send('jobs', { type: EMBEDDING_JOB, params }, { type: EMBEDDING_JOB, params });
}

function send(path, body, job) {
  submit({ path, body, key: requestKey(), job: { ...job, created_at: new Date().toISOString() } });
}

function submit(request) {
  const turn = place(new Turn(client, page, request.job, request));
  remember();
  scrollTo(turn);
  turn.submit();
}

/** Puts a turn where its time says, and lets the oldest that are over go. */
function place(turn) {
  const next = turns.findIndex((other) => other.job.created_at > turn.job.created_at);
  turns.splice(next < 0 ? turns.length : next, 0, turn);
  $('turns').insertBefore(turn.element, $('turns').children[turns.indexOf(turn)] ?? null);
  const spare = turns.filter((other) => !other.live && other !== turn).slice(0, Math.max(0, turns.length - MAX_TURNS));
  drop(spare);
  return turn;
}

function drop(gone) {
  for (const turn of gone) {
    turn.leave();
    turn.element.remove();
  }
  turns = turns.filter((turn) => !gone.includes(turn));
  $('welcome').hidden = turns.length > 0;
}

/** Shows a job that exists, and watches it if it still lives. */
function show(job) {
  const shown = turns.find((turn) => turn.job.job_id === job.job_id);
  if (shown) return shown;
  const turn = place(new Turn(client, page, { ...job }));
  if (turn.live) turn.watch();
  return turn;
}

function reveal(job) {
  const turn = show(job);
  remember();
  toggleHistory(false);
  scrollTo(turn);
  turn.element.focus({ preventScroll: true });
}

function scrollTo(turn) {
  turn.element.scrollIntoView({ block: 'start' });
}

/** Follows the growing answer, unless the reader has scrolled away from it. */
let atEnd = true;
$('conversation').addEventListener('scroll', () => {
  const { scrollHeight, scrollTop, clientHeight } = $('conversation');
  atEnd = scrollHeight - scrollTop - clientHeight < 80;
});
new ResizeObserver(keepAtEnd).observe($('turns'));

function keepAtEnd() {
  if (atEnd && turns.at(-1)?.live) $('conversation').scrollTop = $('conversation').scrollHeight;
}

const said = new WeakMap();

function announce(turn) {
  if (said.get(turn) === turn.job.status) return;
  said.set(turn, turn.job.status);
  $('announcer').textContent = spoken(turn.job);
}

function remember() {
  const ids = turns.map((turn) => turn.job.job_id).filter(Boolean);
  const unsent = turns.map((turn) => turn.request).filter(Boolean);
  try {
    sessionStorage.setItem(memory, JSON.stringify({ ids, unsent }));
  } catch {
    // Storage is full or forbidden; the history still knows every job.
  }
}

function recall() {
  try {
    return { ids: [], unsent: [], ...JSON.parse(sessionStorage.getItem(memory)) };
  } catch {
    return { ids: [], unsent: [] };
  }
}

async function restore() {
  const { ids, unsent } = recall();
  const fresh = (request) => Date.now() - Date.parse(request.job.created_at) < KEY_LIFE;
  for (const request of unsent.filter(fresh)) submit(request);
  const jobs = await Promise.all(ids.map((id) => client.get(`jobs/${encodeURIComponent(id)}`).catch(() => null)));
  const recent = await history.load();
  const running = recent.filter((job) => !isFinal(job.status)).slice(0, MAX_PICKED_UP);
  for (const job of [...jobs.filter(Boolean), ...running]) show(job);
  $('welcome').hidden = turns.length > 0;
  if (turns.length > 0) scrollTo(turns.at(-1));
  remember();
}

function offer(collection) {
  if (!collection || [...$('collection').options].some(({ value }) => value === collection)) return;
  $('collection').append(new Option(collection, collection));
  $('collections').append(new Option(collection));
}

/** The tenant's own collections are those that an embedding job has filled. */
async function loadCollections() {
  let cursor = null;
  for (let page = 0; page < MAX_PAGES && (page === 0 || cursor); page += 1) {
    const query = new URLSearchParams({ type: EMBEDDING_JOB, status: 'completed', limit: 100, ...(cursor && { cursor }) });
    const { jobs, next_cursor } = await client.get(`jobs?${query}`);
    for (const job of jobs) offer(job.result?.collection_id ?? job.params?.collection_id);
    cursor = next_cursor;
  }
}

function toggleHistory(shown) {
  $('history').classList.toggle('open', shown);
  $('open-history').setAttribute('aria-expanded', String(shown));
}

function showOptions(shown) {
  $('options').hidden = !shown;
  $('open-options').setAttribute('aria-expanded', String(shown));
}

function onSubmit(event) {
  event.preventDefault();
  const question = $('question').value.trim();
  $('question').value = '';
  if (question) ask(question);
  $('question').focus();
}

function onKey(event) {
  const dialog = document.querySelector('dialog[open]');
  if (event.key !== 'Escape' || dialog || event.isComposing) return;
  if ($('history').classList.contains('open')) {
    toggleHistory(false);
    $('open-history').focus();
  } else turns.findLast((turn) => turn.live)?.cancel();
}

$('ask').addEventListener('submit', onSubmit);
$('question').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('ask').requestSubmit();
});
document.addEventListener('keydown', onKey);
$('suggestions').addEventListener('click', ({ target }) => target.matches('button') && ask(target.textContent));
$('clear').addEventListener('click', () => {
  drop(turns.filter((turn) => !turn.live));
  remember();
  $('question').focus();
});
$('open-history').addEventListener('click', () => toggleHistory(!$('history').classList.contains('open')));
$('open-options').addEventListener('click', () => showOptions($('options').hidden));
// What is wrong with a field can only be said where it is seen.
$('agent').addEventListener('invalid', () => showOptions(true));

new DocumentsForm(addDocuments);
$('tenant').hidden = tenant === 'default';
$('tenant').querySelector('b').textContent = tenant;
restore();
loadCollections().catch(() => {});
